"""Everything that needs an operator is in one list, and however much is stored, few rows are read for it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from adapters.contract import Platform
from pipeline.broker.queues import ALL_QUEUES, WORKER_GROUPS
from pipeline.domain.attention import ENDING, HELD, OVERDUE, Kind, Matter, build_command
from pipeline.domain.delivery import Reason, State
from pipeline.domain.hold import LIMITS, Hold
from pipeline.domain.webhook import PauseReason
from pipeline.store import attention
from pipeline.store.auth.keys import read_caller
from pipeline.store.canaries import record_canary, record_consumed
from pipeline.store.counters.counters import compact_deltas, count_alarm
from pipeline.store.counters.gauges import find_oldest_overdue, list_overdue
from pipeline.store.database import jsonb, row
from pipeline.store.deliveries.dead_letters import discard, find_dead_letter
from pipeline.store.deliveries.ownership import OPERATOR
from pipeline.store.deliveries.pauses import pause
from pipeline.store.health import database_now
from pipeline.store.posts.approvals import demand_of
from pipeline.store.recovery import epoch
from pipeline.store.webhooks.webhooks import create_webhook, pause_webhook
from tests.database_outages import locked
from tests.pipeline.store.ledger import COLUMNS_OF_STATE, HOUR, Ledger
from tests.pipeline.store.plans import count_read

SILENT = timedelta(minutes=2)
DAY = timedelta(days=1)
MANY = 800
RULES = Path(__file__).parents[3] / "config/prometheus/rules.yml"
ARMED = COLUMNS_OF_STATE[State.UNKNOWN]
RATE_LIMITED = """error = '{"class": "RateLimited", "code": "rate_limited"}'"""


def matters(
    ledger: Ledger, within: Sequence[UUID] | None = None, *, by_account: bool = False
) -> Sequence[Matter]:
    with ledger.database.begin() as c:
        found = attention.read_matters(
            c, queues=ALL_QUEUES, silent=SILENT, within=within, by_account=by_account
        )
        return [*found]


def only(ledger: Ledger) -> Matter:
    [found] = matters(ledger)
    return found


def test_nothing_needs_a_person_while_all_goes_its_way(ledger: Ledger) -> None:
    account = ledger.account(ledger.workspace())
    for state in (State.SCHEDULED, State.PUBLISHED, State.PROCESSING, State.ACCEPTED, State.CANCELLED):
        ledger.post([account], state, due=HOUR)
    ledger.post([account], State.RETRYING)
    ledger.do(record_canary, "delay")
    assert matters(ledger) == []


@pytest.mark.parametrize("reason", list(Reason))
def test_blocked_ones_by_reason_and_cause(ledger: Ledger, reason: Reason) -> None:
    post = ledger.fresh(accounts=2)
    ledger.put(post, State.BLOCKED, reason=reason)
    for delivery in post.deliveries:
        ledger.change(delivery, RATE_LIMITED)
    found = only(ledger)
    assert (found.kind, found.reason, found.count, found.is_capped) == (Kind.BLOCKED, reason, 2, False)
    assert (found.platform, found.error_class, found.code) == ("tiktok", "RateLimited", "rate_limited")
    assert found.oldest == min(ledger.delivery(d).updated_at for d in post.deliveries)


def test_failed_ones_by_cause_until_they_are_discarded_or_deleted(ledger: Ledger) -> None:
    posts = [ledger.fresh(State.FAILED) for _ in range(3)]
    for post in posts:
        ledger.change(post.deliveries[0], """error = '{"class": "Rejected", "code": "rejected"}'""")
    found = only(ledger)
    assert (found.kind, found.count, found.code) == (Kind.DEAD_LETTERS, 3, "rejected")
    with ledger.database.begin() as c:
        letter = find_dead_letter(c, posts[0].deliveries[0], OPERATOR)
        assert letter is not None
        discard(c, letter, why="known", who="tests")
    ledger.execute("UPDATE posts SET deleted_at = now() WHERE id = :id", id=posts[1].id)
    assert only(ledger).count == 1


def test_unknown_ones_since_they_were_armed(ledger: Ledger) -> None:
    post = ledger.fresh(State.UNKNOWN)
    found = only(ledger)
    assert (found.kind, found.count, found.oldest) == (
        Kind.UNKNOWN,
        1,
        ledger.delivery(post.deliveries[0]).armed_at,
    )


def test_late_ones_by_platform_state_and_hold(ledger: Ledger) -> None:
    account = ledger.account(ledger.workspace())
    stale = -(OVERDUE + timedelta(seconds=10))
    ledger.post([account], due=stale)
    ledger.post([account], due=-(HELD + HOUR))
    for due, hold in product((stale, -(HELD + HOUR)), LIMITS):
        limited = ledger.post([account], due=due)
        ledger.change(limited.deliveries[0], f"held_for = '{hold}', next_at = now() + interval '3 hours'")
    over = ledger.post([account], due=-HOUR)
    ledger.change(over.deliveries[0], "held_for = 'rate', next_at = now() - interval '30 seconds'")
    armed = ledger.post([account], State.PUBLISHING, due=stale)
    ledger.change(armed.deliveries[0], ARMED)
    ledger.post([account], State.QUEUED, due=stale)
    ledger.post([account], State.ACCEPTED, due=stale)
    found = {(m.kind, m.state, m.reason): m.count for m in matters(ledger)}
    assert found == {
        (Kind.HELD, "scheduled", Hold.BACKLOG): 1,
        (Kind.OVERDUE, "scheduled", Hold.BACKLOG): 1,
        (Kind.OVERDUE, "queued", Hold.BACKLOG): 1,
        (Kind.OVERDUE, "accepted", Hold.CHECKING): 1,
    }


def test_what_is_overdue_and_since_when_is_what_the_alert_pages_for(ledger: Ledger) -> None:
    account = ledger.account(ledger.workspace())
    plain, limited, ended = (ledger.post([account], due=-HOUR) for _ in range(3))
    ledger.change(plain.deliveries[0], "next_at = due_at")
    ledger.change(limited.deliveries[0], "held_for = 'daily_quota', next_at = now() + interval '1 hour'")
    ledger.change(ended.deliveries[0], "held_for = 'rate', next_at = now() - interval '2 minutes'")
    with ledger.database.begin() as c:
        paged = find_oldest_overdue(list_overdue(c))["tiktok"]
        now = database_now(c)
        listed = [*attention.read_matters(c, queues=[], silent=DAY)]
    assert [(m.kind, m.count) for m in listed] == [(Kind.OVERDUE, 2)]
    assert listed[0].oldest is not None
    assert (now - listed[0].oldest).total_seconds() == pytest.approx(paged)
    ledger.change(plain.deliveries[0], "held_for = 'min_gap', next_at = now() + interval '1 hour'")
    assert only(ledger).oldest == ledger.delivery(ended.deliveries[0]).next_at
    [alert] = re.findall(r"slipway:overdue_seconds > (\d+)\n +for", RULES.read_text())
    assert timedelta(seconds=int(alert)) == OVERDUE


@pytest.mark.parametrize("table", ["deliveries", "accounts", "canaries", "pauses", "webhooks", "mark"])
def test_a_locked_table_is_named_by_kind_and_everything_else_is_listed(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    monkeypatch.setattr(attention, "CHECK_SECONDS", 0.2)
    with ledger.database.begin() as c:
        count_alarm(c, "check_fault")
        compact_deltas(c)
    with locked(ledger.database, table):
        found = matters(ledger)
    unread = {m.reason for m in found if m.kind is Kind.UNREAD}
    of_table = {
        "canaries": {Kind.SILENT_QUEUE},
        "webhooks": {Kind.WEBHOOK_PAUSED},
        "mark": {Kind.RESTORE},
        "pauses": {Kind.PAUSED},
        "accounts": {Kind.RECONNECT, Kind.GRANT_ENDING},
        "deliveries": {Kind.UNKNOWN, Kind.BLOCKED, Kind.DEAD_LETTERS},
    }
    assert of_table[table] <= unread
    assert Kind.ALARM in {m.kind for m in found}
    assert build_command(Matter(kind=Kind.UNREAD, reason="paused"), {}) == "slipway attention"
    assert not [m for m in matters(ledger) if m.kind is Kind.UNREAD]


def test_what_no_running_worker_understands_by_platform_until_a_newer_one_runs(ledger: Ledger) -> None:
    mine, other = ledger.workspace(), ledger.workspace()
    newer = [ledger.post([ledger.account(workspace)], due=HOUR) for workspace in (mine, other, other)]
    ledger.post([ledger.account(other)], due=HOUR)
    for post in newer:
        ledger.change(post.deliveries[0], "level = 2")
    ledger.do(record_consumed, ["publish.tiktok"], 1)
    found = only(ledger)
    assert (found.kind, found.platform, found.count) == (Kind.NEWER_WORKER, "tiktok", 3)
    assert [m.count for m in matters(ledger, [mine])] == [1]
    ledger.do(record_consumed, ["publish.tiktok"], 2)
    assert matters(ledger) == []


def test_what_an_account_holds_is_named_by_its_pause_and_the_pause_by_its_scope(ledger: Ledger) -> None:
    account = ledger.account(ledger.workspace())
    ledger.posts(2, [account], due=-DAY - HOUR)
    ledger.do(pause, "account", str(account), "under review")
    pauses, held = matters(ledger)
    assert (pauses.kind, pauses.reason, pauses.count) == (Kind.PAUSED, "account", 1)
    assert (held.kind, held.reason, held.count) == (Kind.HELD, Hold.PAUSED, 2)


def test_accounts_to_reconnect_and_grants_that_end(ledger: Ledger) -> None:
    workspace = ledger.workspace()
    lost, ending, renewed, lasting = (ledger.account(workspace, Platform.LINKEDIN) for _ in range(4))
    ledger.update("accounts", lost, "status = 'reconnect'")
    for account, renewable, left in (
        (ending, False, ENDING),
        (renewed, True, ENDING),
        (lasting, False, DAY * 9),
    ):
        ledger.execute(
            """UPDATE accounts SET expires_at = now() + CAST(:left AS interval), renewable = :renewable
               WHERE id = :id""",
            id=account,
            renewable=renewable,
            left=left - HOUR,
        )
    reconnect, grant = matters(ledger)
    assert (reconnect.kind, reconnect.platform, reconnect.count) == (Kind.RECONNECT, "linkedin", 1)
    assert (reconnect.oldest, grant.kind, grant.count) == (None, Kind.GRANT_ENDING, 1)
    post = ledger.post([lost], platform=Platform.LINKEDIN)
    ledger.put(post, State.BLOCKED, reason=Reason.RECONNECT)
    [again] = [m for m in matters(ledger) if m.kind is Kind.RECONNECT]
    assert again.oldest == ledger.delivery(post.deliveries[0]).updated_at


def add_paused_webhook(ledger: Ledger, workspace: UUID, why: PauseReason) -> None:
    with ledger.database.begin() as c:
        caller = read_caller(c, workspace, None)
        assert caller is not None
        made, _ = create_webhook(
            c, ledger.vault, caller, url="https://a.example/", types=None, description=None
        )
        pause_webhook(c, made.id, why)


def test_webhooks_that_are_paused_for_their_servers_by_reason(ledger: Ledger) -> None:
    spaces = [ledger.workspace() for _ in range(2)]
    for space, why in [
        (spaces[0], PauseReason.DEAD),
        (spaces[0], PauseReason.DEAD),
        (spaces[0], PauseReason.PERSON),
        (spaces[1], PauseReason.GONE),
    ]:
        add_paused_webhook(ledger, space, why)
    found = [(m.kind, m.reason, m.count) for m in matters(ledger)]
    assert found == [(Kind.WEBHOOK_PAUSED, "dead", 2), (Kind.WEBHOOK_PAUSED, "gone", 1)]
    assert [m.reason for m in matters(ledger, [spaces[1]])] == ["gone"]
    assert build_command(matters(ledger)[0], {}) == "slipway webhook list --paused"


def test_silent_queues_and_a_restore_that_nobody_accepted_come_first(ledger: Ledger) -> None:
    with ledger.database.begin() as c:
        record_canary(c, "delay")
        record_canary(c, "gone")
        row(c, "UPDATE canaries SET taken_at = now() - interval '1 hour' RETURNING queue")
        epoch.hold(c, "declared", since=None, until=None)
    restore, queue = matters(ledger)
    assert (restore.kind, restore.reason) == (Kind.RESTORE, "declared")
    assert (queue.kind, queue.reason) == (Kind.SILENT_QUEUE, "delay"), "a queue of an earlier release is none"


def test_alarms_of_the_last_day_by_kind(ledger: Ledger) -> None:
    for kind in ("late_proof", "check_fault", "check_fault"):
        with ledger.database.begin() as c:
            count_alarm(c, kind)
            compact_deltas(c)
    ledger.execute("UPDATE alarms SET hour = hour - interval '2 days' WHERE kind = 'late_proof'")
    with ledger.database.begin() as c:
        [found] = attention.read_matters(c, queues=[], silent=DAY, within=[ledger.workspace()])
    assert (found.kind, found.reason, found.count) == (Kind.ALARM, "check_fault", 2)
    assert build_command(found, {}) == "slipway doctor"


# --- commands --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("matter", "command"),
    [
        (Matter(kind=Kind.SILENT_QUEUE, reason="publish.tiktok"), "worker publish --queues publish.tiktok"),
        (
            Matter(kind=Kind.BLOCKED, platform="tiktok", reason="is_it_live"),
            "delivery list --state blocked --reason is_it_live --platform tiktok",
        ),
        (
            Matter(kind=Kind.BLOCKED, platform="tiktok", reason="person_needed", error_class="RateLimited"),
            "dead-letter list --platform tiktok --error-class RateLimited",
        ),
        (
            Matter(kind=Kind.DEAD_LETTERS, platform="tiktok", code="a b"),
            "dead-letter list --platform tiktok --code 'a b'",
        ),
        (Matter(kind=Kind.HELD, platform="tiktok", reason=Hold.PAUSED), "pause list"),
        (Matter(kind=Kind.OVERDUE, platform="tiktok", reason=Hold.EPOCH), "restore status"),
        (
            Matter(kind=Kind.OVERDUE, platform="tiktok", state="queued", reason=Hold.BACKLOG),
            "delivery list --late -1d..-1m --state queued --held-for backlog --platform tiktok",
        ),
        (
            Matter(kind=Kind.HELD, platform="tiktok", state="publishing"),
            "delivery list --late ..-1d --state publishing --held-for none --platform tiktok",
        ),
    ],
)
def test_each_has_the_command_that_deals_with_it(matter: Matter, command: str) -> None:
    groups = {queue: group for group, queues in WORKER_GROUPS.items() for queue in queues}
    assert build_command(matter, groups) == f"slipway {command}"


def test_every_kind_has_a_command() -> None:
    for kind in Kind:
        matter = Matter(kind=kind, reason="delay" if kind is Kind.SILENT_QUEUE else None)
        assert build_command(matter, {"delay": "publish"}).startswith("slipway ")


# --- of some workspaces ---------------------------------------------------------------------------------------------


def test_of_some_workspaces_only_what_concerns_them(ledger: Ledger) -> None:
    posts = {}
    for n in range(2):
        workspace = ledger.workspace()
        account, lost = ledger.account(workspace), ledger.account(workspace)
        for state in (State.FAILED, State.BLOCKED, State.UNKNOWN):
            ledger.post([account], state, due=HOUR)
        ledger.posts(2, [account], due=-DAY - HOUR)
        ledger.post([account], State.PUBLISHING, due=-HOUR)
        held = ledger.post([account], due=HOUR)
        ledger.pause_delivery(held.deliveries[0])
        ledger.do(demand_of, [held.id], "key 1")
        ledger.update("accounts", lost, "status = 'reconnect'")
        ledger.update("accounts", account, "expires_at = now(), renewable = false")
        with ledger.database.begin() as c:
            pause(c, "workspace", str(workspace), "test")
            pause(c, "account", str(lost), "test")
            pause(c, "platform", ("pinterest", "linkedin")[n], "test")
        add_paused_webhook(ledger, workspace, PauseReason.DEAD)
        name = {"id": workspace, "name": "gone", "counted": jsonb({})}
        ledger.execute(
            """INSERT INTO deletions (id, name, counted, moved_at)
               VALUES (:id, :name, :counted, now() - interval '2 hours')""",
            **name,
        )
        posts[workspace] = held
    everything = {(m.kind, m.state, m.reason): m.count for m in matters(ledger)}
    of_the_installation = {Kind.UNREAD, Kind.RESTORE, Kind.SILENT_QUEUE, Kind.NEWER_WORKER, Kind.ALARM}
    assert {kind for kind, _, _ in everything} == {*Kind} - of_the_installation
    for workspace in posts:
        mine = {(m.kind, m.state, m.reason): m.count for m in matters(ledger, [workspace])}
        of_all = {(Kind.PAUSED, None, "platform"): 2}
        assert mine == {key: n // 2 for key, n in everything.items()} | of_all
    assert [m.reason for m in matters(ledger, [])] == ["platform"]


# --- by account -----------------------------------------------------------------------------------------------------


def test_by_account_each_has_what_waits_for_it_and_what_the_platform_said(ledger: Ledger) -> None:
    workspace = ledger.workspace()
    lost, other = ledger.account(workspace), ledger.account(workspace)
    blocked = ledger.post([lost], due=-HOUR)
    ledger.put(blocked, State.BLOCKED, reason=Reason.RECONNECT)
    planned = ledger.posts(2, [lost], due=HOUR)
    ledger.post([lost], State.PUBLISHED, due=-DAY)
    ledger.update("accounts", lost, "status = 'reconnect'")
    waiting = ledger.post([other], due=DAY)
    ledger.put(waiting, State.BLOCKED, reason=Reason.RECONNECT)
    ledger.change(
        waiting.deliveries[0],
        """error = '{"class": "NeedsPerson", "platform_message": "Sign in.", "message": "No.", "fault": "us"}'""",
    )
    found = {m.account_id: m for m in matters(ledger, by_account=True)}
    assert {(m.kind, m.count) for m in found.values()} == {(Kind.RECONNECT, 3), (Kind.BLOCKED, 1)}
    first = ledger.delivery(blocked.deliveries[0])
    assert (found[lost].due_at, found[lost].oldest) == (first.due_at, first.updated_at)
    assert found[lost].next_due == ledger.delivery(planned[0].deliveries[0]).due_at
    assert (found[lost].posts[0], len(found[lost].posts)) == (blocked.id, 2)
    assert [(m.words, m.message, m.fault, m.posts) for m in found.values() if m.account_id == other] == [
        ("Sign in.", "No.", "us", [waiting.id])
    ]


def test_by_account_the_same_deliveries_are_counted(ledger: Ledger) -> None:
    spaces = [ledger.workspace() for _ in range(2)]
    accounts = [ledger.account(space) for space in spaces for _ in range(2)]
    for account in accounts:
        ledger.post([account], State.FAILED)
        ledger.posts(2, [account], State.UNKNOWN)
        ledger.put(ledger.post([account]), State.BLOCKED, reason=Reason.IS_IT_LIVE)
        ledger.post([account], due=-HOUR)
        ledger.update("accounts", account, "expires_at = now(), renewable = false")
    for within in (None, [spaces[0]]):
        plain = {m.kind: m.count for m in matters(ledger, within)}
        listed = matters(ledger, within, by_account=True)
        assert plain == {kind: sum(m.count for m in listed if m.kind is kind) for kind in plain}
        own = set(accounts[: 4 if within is None else 2])
        for kind in (Kind.DEAD_LETTERS, Kind.UNKNOWN, Kind.BLOCKED, Kind.GRANT_ENDING):
            assert {m.account_id for m in listed if m.kind is kind} == own
    [late] = [m for m in matters(ledger, by_account=True) if m.kind is Kind.OVERDUE]
    assert (late.account_id, late.count) == (None, 4), "late ones of several accounts have one cause"
    lone = ledger.workspace()
    account = ledger.account(lone)
    ledger.post([account], due=-HOUR)
    [late] = matters(ledger, [lone], by_account=True)
    assert late.account_id == account


def test_by_account_so_many_of_a_kind_are_listed(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "POSTS", 2)
    workspace = ledger.workspace()
    for _ in range(attention.ROWS + 2):
        account = ledger.account(workspace)
        ledger.post([account], State.FAILED)
        ledger.posts(3, [account], due=DAY)
        ledger.update("accounts", account, "status = 'reconnect'")
    found = matters(ledger, by_account=True)
    for kind in (Kind.RECONNECT, Kind.DEAD_LETTERS):
        assert len([m for m in found if m.kind is kind]) == attention.ROWS
    assert {(m.count, m.is_capped) for m in found if m.kind is Kind.RECONNECT} == {(2, True)}


# --- reads -----------------------------------------------------------------------------------------------------------


def test_a_count_ends_at_the_cap_and_says_so(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "CAP", 2)
    account = ledger.account(ledger.workspace())
    ledger.posts(3, [account], State.FAILED)
    found = only(ledger)
    assert (found.kind, found.count, found.is_capped) == (Kind.DEAD_LETTERS, 2, True)


def test_few_rows_are_read_however_much_is_stored(ledger: Ledger) -> None:
    account = ledger.account(ledger.workspace())
    ledger.posts(MANY, [account], due=DAY)
    ledger.posts(MANY, [account])
    ledger.posts(MANY, [account], State.PUBLISHED, due=-DAY * 2)
    failed = ledger.post([account], State.FAILED)
    ledger.analyze("deliveries, posts, accounts")
    # an hour: on a busy machine, what is due when it is stored is overdue by a minute when it is read
    values: dict[str, Any] = {"overdue": HOUR, "held": HELD, "ending": ENDING}
    names = ("_BLOCKED", "_DEAD_LETTERS", "_UNKNOWN", "_RECONNECT", "_WITHDRAWN", "_LATE", "_GRANTS")
    scopes = (None, [ledger.workspace()], [failed.workspace])
    for name, within, by_account in product(names, scopes, (False, True)):
        sql = attention.restrict(getattr(attention, name), within, by_account=by_account)
        cap = attention.CAP if within is None else attention.WIDE
        values |= {"within": within, "cap": cap, "walk": cap, "rows": 50, "most": 1000}
        given = {key: value for key, value in values.items() if f":{key}" in sql}
        assert count_read(ledger, sql, **given) < 50, (name, within)


def test_what_others_left_is_read_up_to_a_bound(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "WIDE", 20)
    mine = ledger.fresh(State.FAILED)
    ledger.posts(MANY, [ledger.account(ledger.workspace())], State.FAILED)
    ledger.analyze("deliveries, posts, accounts")
    for name, values in (("_BLOCKED", {"cap": 20}), ("_DEAD_LETTERS", {"cap": 20, "walk": 20})):
        sql = attention.restrict(getattr(attention, name), [mine.workspace])
        assert count_read(ledger, sql, within=[mine.workspace], **values) < 100
