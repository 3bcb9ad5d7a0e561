"""Which events moves, accounts and imports make, in which order, for which webhooks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from adapters.contract import Published
from adapters.errors import CredentialsRevoked, OutcomeUnknown, Rejected
from pipeline.actions import cancel_delete_retry as steer
from pipeline.actions.approve import approve, send_back
from pipeline.api.http.timestamp import format_timestamp
from pipeline.domain.account import KeyLimits
from pipeline.domain.delivery import State
from pipeline.domain.own_content import OwnContent
from pipeline.store.accounts.accounts import require_reconnect
from pipeline.store.auth.keys import COMMAND_LINE, Caller, Terms, create_key, find_caller
from pipeline.store.database import new_id
from pipeline.store.imports.imports import begin_upload
from pipeline.store.posts.approvals import demand_of, read_approvals
from pipeline.store.webhooks.facts import take_occurrences
from tests.actors import TESTER
from tests.pipeline.actions.test_edit import change, view
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.maintenance.test_export_moves import accept, publish
from tests.pipeline.scripted_adapter import Script, raising
from tests.pipeline.store.ledger import HOUR, Post
from tests.pipeline.webhooks.receiver import Receiver

LIVE = "https://t.example/1"


def live(core: CoreFixture) -> Script:
    return Script(finalize=lambda d, _: Published(remote_id=d.delivery_id, url=LIVE))


def restricted(core: CoreFixture, *accounts: UUID) -> Caller:
    with core.context.database.begin() as c:
        found = find_caller(c, create_key(c, core.workspace, "less", Terms(accounts=accounts)))
    assert found is not None
    return found


def upload(core: CoreFixture, state: str) -> None:
    """Bring an import to a state."""
    identity = new_id()
    options = {
        "name": "march.csv",
        "encoding": None,
        "time_zone": "UTC",
        "strict": False,
        "updates": False,
    }
    with core.context.database.begin() as c:
        begin_upload(c, core.caller, identity, f"imports/{identity}", **options)
        sql = (
            "UPDATE imports SET state = %s, rows = 7, accepted = 7, plan_hash = '', plan = '{}' WHERE id = %s"
        )
        c.exec_driver_sql(sql, (state, identity))
        c.exec_driver_sql("UPDATE imports SET done = 7 WHERE id = %s", (identity,))


def test_a_post_tells_its_life_in_order(receiver: Receiver) -> None:
    core = receiver.core
    _, secret = receiver.subscribe()
    post = accept(core, accounts=2)
    publish(core, live(core), post, 0)
    publish(core, Script(finalize=raising(Rejected("too rude", code="too_rude"))), post, 1)
    receiver.send()
    got = receiver.got(secret)
    assert [e["type"] for e in got] == [
        "post.scheduled",
        "delivery.published",
        "delivery.failed",
        "post.partial",
    ]
    assert len({e["id"] for e in got}) == 4
    assert {e["data"]["post_id"] for e in got} == {str(post.id)}
    scheduled, published, failed, partial = (e["data"] for e in got)
    assert scheduled["status"] == "pending"
    assert [a["status"] for a in scheduled["accounts"]] == ["pending", "pending"]
    assert (published["status"], published["state"], published["published_url"]) == (
        "posted",
        "published",
        LIVE,
    )
    assert published["published_at"]
    assert failed["error"]["code"] == "too_rude"
    assert failed["published_url"] is None
    assert partial["status"] == "partial"
    assert {(a["status"], a["published_url"]) for a in partial["accounts"]} == {
        ("posted", LIVE),
        ("failed", None),
    }


def test_events_and_repeats_name_the_time_that_readers_see(receiver: Receiver) -> None:
    """The first account is out, so that the post is due at the second's time next; readers see the first's."""
    core = receiver.core
    receiver.subscribe()
    core.decided()
    ids = [core.account(name) for name in ("first", "second")]
    later = core.now() + HOUR
    request = core.request(account_ids=ids, own={ids[1]: OwnContent(scheduled_at=later)})
    made = core.accept(request)
    post = Post(id=made.id, workspace=core.workspace, deliveries=[d.id for d in core.deliveries(made.id)])
    publish(core, live(core), post)
    receiver.send()
    assert receiver.read("SELECT due_at FROM posts WHERE id = :id", id=post.id)[0].due_at == later
    times = {event["type"]: event["data"]["scheduled_at"] for event in receiver.got()}
    shown = format_timestamp(view(core, post.id).scheduled_at)
    assert times == {"post.scheduled": shown, "delivery.published": shown}
    again = core.accept(request)
    assert (again.duplicate, format_timestamp(again.scheduled_at)) == (True, shown)


def test_a_draft_makes_no_event_until_it_is_scheduled_or_canceled(receiver: Receiver) -> None:
    core = receiver.core
    receiver.subscribe()
    core.decided()
    account = core.account("one")
    first, second = (core.accept(account_ids=[account], draft=True, caption=text).id for text in "ab")
    change(core, first, caption="better")
    receiver.send()
    assert receiver.got() == []
    due_at = core.now() + HOUR
    change(core, first, scheduled_at=due_at, schedules=True)
    assert steer.cancel(core.context, core.caller, [second]).ids
    receiver.send()
    told = [(e["type"], e["data"]["post_id"], e["data"]["scheduled_at"]) for e in receiver.got()]
    assert sorted(told, reverse=True) == [
        ("post.scheduled", str(first), format_timestamp(due_at)),
        ("post.canceled", str(second), None),
    ], "events are in order for each post, not among posts"


@pytest.mark.parametrize(
    ("script", "types"),
    [
        (Script(finalize=raising(OutcomeUnknown("?"))), ["delivery.unknown"]),
        (Script(finalize=raising(CredentialsRevoked("gone"))), ["delivery.blocked"]),
    ],
    ids=["unknown", "blocked"],
)
def test_each_end_has_its_events(receiver: Receiver, script: Script, types: list[str]) -> None:
    post = accept(receiver.core)
    webhook, _ = receiver.subscribe(*types)
    publish(receiver.core, script, post)
    receiver.send()
    assert receiver.types() == types
    assert [e.type for e in receiver.events(webhook.id)] == types, "what was not chosen is not stored"


def test_edits_retries_and_cancels_are_told_once_each(receiver: Receiver) -> None:
    core = receiver.core
    receiver.subscribe("post.scheduled", "post.failed", "post.canceled", "post.posted")
    post = accept(core, accounts=2)
    receiver.send()
    change(core, post.id, scheduled_at=core.now() + HOUR)
    receiver.send()
    assert receiver.types() == ["post.scheduled"] * 2
    # one account for another, in one transaction: the post was at no moment without an account
    change(core, post.id, account_ids=[core.account("other")])
    receiver.send()
    assert receiver.types() == ["post.scheduled"] * 3
    assert len(receiver.got()[-1]["data"]["accounts"]) == 1
    assert steer.cancel(core.context, core.caller, [post.id]).ids
    failing = accept(core)
    publish(core, Script(prepare=raising(Rejected("no"))), failing)
    assert steer.retry(core.context, core.caller, [failing.id]).ids
    publish(core, Script(), failing)
    receiver.send()
    told = [
        [e["type"] for e in receiver.got() if e["data"]["post_id"] == str(p)] for p in (post.id, failing.id)
    ]
    assert told[0] == ["post.scheduled"] * 3 + ["post.canceled"]
    assert told[1] == ["post.scheduled", "post.failed", "post.scheduled", "post.posted"]


def test_a_hold_is_told_once_while_it_lasts_and_not_when_it_delays_nothing(receiver: Receiver) -> None:
    core = receiver.core
    receiver.subscribe("delivery.held")
    post = accept(core)
    with core.context.database.begin() as c:
        for why in ("rate", "rate", "prepared_early", "daily_quota", "daily_quota", "rate"):
            c.exec_driver_sql(
                """INSERT INTO moves (delivery_id, mover, origin, target, generation, fence, why)
                   VALUES (%s, 'publish', 'publishing', 'scheduled', 0, 0, %s)""",
                (post.deliveries[0], f"held: {why}"),
            )
    receiver.send()
    assert [e["data"]["held_for"] for e in receiver.got()] == ["rate", "daily_quota", "rate"]


def test_an_account_and_an_import_tell_what_became_of_them(receiver: Receiver) -> None:
    core = receiver.core
    account = core.account("one")
    receiver.subscribe("account.reconnect", "import.finished")
    with core.context.database.begin() as c:
        error = {"code": "reconnect_required", "class": "CredentialsRevoked", "secret": "x"}
        require_reconnect(c, account, error, 1)
        require_reconnect(c, account, error, 1)
    upload(core, "applied")
    upload(core, "reading")
    receiver.send()
    by_type = {e["type"]: e["data"] for e in receiver.got()}
    assert sorted(receiver.types()) == ["account.reconnect", "import.finished"]
    reconnect, finished = by_type["account.reconnect"], by_type["import.finished"]
    assert (reconnect["account_id"], reconnect["error"]["code"]) == (str(account), "reconnect_required")
    assert "secret" not in reconnect["error"]
    assert (finished["state"], finished["rows"]) == ("applied", 7)


def test_an_approval_tells_that_it_is_needed_given_and_refused(receiver: Receiver) -> None:
    core = receiver.core
    accept(core)  # makes an account and a check
    mine, theirs = (
        core.accept(account_ids=[core.accounts["a0"]], caption=c, scheduled_at=core.now() + HOUR)
        for c in "ab"
    )
    other = core.account("other")
    receiver.subscribe("post.needs_approval", "post.approved", "post.sent_back")
    bound, _ = receiver.subscribe(by=restricted(core, other))
    boss = replace(core.caller, limits=KeyLimits(may_approve=True))
    with core.context.database.begin() as c:
        demand_of(c, [mine.id, theirs.id], "key 1")
        shown = read_approvals(c, [mine.id])[mine.id].hash
    core.run("UPDATE approvals SET author = 'key 1'")
    approve(core.context, boss, mine.id, shown)
    change(core, mine.id, caption="another")
    send_back(
        core.context,
        replace(boss, key_id=COMMAND_LINE, actor=TESTER),
        mine.id,
        approved(core, mine.id),
        "The price",
    )
    receiver.send()
    told = [(e["type"], *(e["data"].get(n) for n in ("approver", "why"))) for e in receiver.got()]
    assert [one for one in told if one[0] != "post.needs_approval"] == [
        ("post.approved", boss.author, None),
        ("post.sent_back", None, "The price"),
    ]
    assert [one[0] for one in told].count("post.needs_approval") == 3
    assert receiver.events(bound.id) == []


def approved(core: CoreFixture, post: UUID) -> str:
    with core.context.database.begin() as c:
        return read_approvals(c, [post])[post].hash


def test_occurrences_are_taken_once_and_the_oldest_first(receiver: Receiver) -> None:
    receiver.subscribe("import.finished")
    for _ in range(3):
        upload(receiver.core, "applied")
    with receiver.core.context.database.begin() as c:
        taken = [[one.at for one in take_occurrences(c, limit)] for limit in (2, 9)]
    assert [*map(len, taken)] == [2, 1]
    assert max(taken[0]) < taken[1][0]


def test_a_bound_webhook_gets_what_its_key_may_see_and_nothing_else(receiver: Receiver) -> None:
    core = receiver.core
    mine = accept(core)
    account = core.accounts["a0"]
    bound, _ = receiver.subscribe(by=restricted(core, account))
    core.account("theirs")
    both = core.accept(account_ids=[account, core.accounts["theirs"]])
    theirs = core.accept(account_ids=[core.accounts["theirs"]], caption="theirs")
    publish(core, Script(), mine)
    with core.context.database.begin() as c:
        for name in ("a0", "theirs"):
            require_reconnect(c, core.accounts[name], {"code": "reconnect_required"}, 1)
    upload(core, "applied")
    receiver.send()
    got: list[dict[str, Any]] = receiver.got()
    assert [e["type"] for e in got if "post_id" in e["data"]] == ["delivery.published", "post.posted"]
    assert not {str(both.id), str(theirs.id)} & {e["data"].get("post_id") for e in got}
    assert [e["data"]["account_id"] for e in got if e["type"] == "account.reconnect"] == [str(account)]
    assert not [e for e in got if e["type"] == "import.finished"], "it was made by another key"
    assert {e.state for e in receiver.events(bound.id)} == {"delivered"}


def test_nothing_is_stored_where_nobody_listens(receiver: Receiver) -> None:
    core = receiver.core
    post = accept(core)
    publish(core, Script(), post)
    webhook, _ = receiver.subscribe()
    with (
        core.context.database.begin() as c
    ):  # an upgrade, or a slow export: moves of before the webhook was made
        c.exec_driver_sql(
            """INSERT INTO moves (delivery_id, mover, origin, target, generation, fence, at)
               VALUES (%s, 'publish', 'publishing', 'failed', 0, 0, now() - interval '1 hour')""",
            (post.deliveries[0],),
        )
    receiver.send()
    assert receiver.events(webhook.id) == []
    assert core.ledger.state(post.deliveries[0]) is State.PUBLISHED
