"""Pauses say who and why, concern what a visitor sees, and count what they hold without reading the rest."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from adapters.contract import Platform
from pipeline.domain.delivery import State
from pipeline.domain.hold import Scope
from pipeline.store.database import new_id
from pipeline.store.deliveries import pauses
from pipeline.store.deliveries.pauses import Pause, list_pauses, pause, pause_platform
from pipeline.store.deliveries.platform_health import list_open_breakers
from pipeline.store.steering.receipts import pause_deliveries
from tests.pipeline.store.ledger import HOUR, Ledger
from tests.pipeline.store.plans import count_read

LATE = -timedelta(seconds=30)


def listed(ledger: Ledger, *workspaces: UUID) -> dict[str, Pause]:
    return {one.scope: one for one in ledger.do(list_pauses, workspaces or None)}


def test_a_workspace_sees_the_pauses_that_concern_it_and_what_they_hold_of_its_own(ledger: Ledger) -> None:
    mine, other = ledger.workspace(), ledger.workspace()
    for workspace, number in ((mine, 2), (other, 3)):
        account = ledger.account(workspace)
        ledger.posts(number, [account], due=LATE)
        held = ledger.post([account], due=LATE)
        with ledger.database.begin() as c:
            pause(c, "workspace", str(workspace), "why", "user ann")
            pause(c, "account", str(account), "why", "user ann")
            pause_deliveries(c, held.deliveries, new_id(), "why")
    with ledger.database.begin() as c:
        pause(c, "all", "", "why", "command line root")
        assert len(list_pauses(c)) == 7
    found = listed(ledger, mine)
    assert {scope: one.holds for scope, one in found.items()} == {
        "all": 3,
        "workspace": 3,
        "account": 3,
        "delivery": 1,
    }
    assert {scope: one.workspace_id for scope, one in found.items() if scope != "all"} == dict.fromkeys(
        ("workspace", "account", "delivery"), mine
    )
    assert found["all"].who == "command line root"
    assert listed(ledger)["all"].holds == 7
    assert [one.holds for one in ledger.do(list_pauses, [mine], cap=2) if one.scope == "all"] == [2]


def test_what_is_not_due_yet_or_queued_already_is_held_too(ledger: Ledger) -> None:
    account = ledger.account(ledger.workspace())
    ledger.posts(2, [account], due=HOUR)
    ledger.post([account], State.RETRYING, due=LATE)
    ledger.post([account], State.QUEUED, due=LATE)
    ledger.post([account], State.PUBLISHED, due=LATE)
    with ledger.database.begin() as c:
        for scope, target in (("platform", "tiktok"), ("account", str(account))):
            pause(c, scope, target, "why")  # type: ignore[arg-type]
    assert {scope: one.holds for scope, one in listed(ledger).items()} == {"platform": 4, "account": 4}


def test_pausing_again_names_who_gave_the_present_reason(ledger: Ledger) -> None:
    ledger.do(pause_platform, Platform.TIKTOK, "it refuses our app")
    assert listed(ledger)["platform"].who == "system"
    ledger.do(pause, "platform", "tiktok", "waiting for the audit", "user ann")
    again = listed(ledger)["platform"]
    assert (again.who, again.why) == ("user ann", "waiting for the audit")


def test_a_breaker_counts_what_it_holds_of_a_workspace(ledger: Ledger) -> None:
    mine = ledger.workspace()
    ledger.post([ledger.account(mine)], due=LATE)
    ledger.fresh(due=LATE)
    ledger.open_breaker()
    with ledger.database.begin() as c:
        assert [one.holds for one in list_open_breakers(c)] == [2]
        assert [one.holds for one in list_open_breakers(c, [mine])] == [1]
        assert [one.holds for one in list_open_breakers(c, cap=1)] == [1]


def test_no_more_is_read_than_is_counted_however_much_waits(ledger: Ledger) -> None:
    workspace = ledger.workspace()
    account = ledger.account(workspace)
    ledger.posts(1500, [account], due=HOUR)
    ledger.posts(1500, [account], State.PUBLISHED, due=-HOUR)
    due = ledger.posts(20, [account], due=LATE)
    scopes: list[tuple[Scope, str]] = [("all", ""), ("platform", "tiktok")]
    scopes += [("workspace", str(workspace)), ("account", str(account))]
    for scope, target in scopes:
        ledger.do(pause, scope, target, "why")
    for one in due:
        ledger.do(pause_deliveries, one.deliveries, due[0].id, "why")
    ledger.analyze("deliveries, accounts, paused_deliveries, pauses")
    for mine in (None, [workspace]):
        # each counted delivery is looked up among the pauses
        read = count_read(ledger, pauses._PAUSES, platforms=list(Platform), mine=mine, cap=50, most=None)
        assert read < 4 * 50 * 6 + 160


STREAK = "unavailable_since = '{}'"


@pytest.mark.parametrize("scope", ["all", "platform", "workspace", "account"])
def test_lifting_a_pause_ends_the_streaks_of_what_it_held_and_no_others(ledger: Ledger, scope: Scope) -> None:
    """Beside what it held stand: deliveries of another owner, one that is claimed, and one that is due far ahead."""
    workspace, theirs = ledger.workspace(), ledger.workspace()
    mine = ledger.account(workspace)
    held = [ledger.post([mine], state).deliveries[0] for state in (State.SCHEDULED, State.RETRYING)]
    left = [
        ledger.post([mine], State.PUBLISHING).deliveries[0],
        ledger.post([mine]).deliveries[0],
        ledger.post([mine]).deliveries[0],
        ledger.post([ledger.account(theirs, Platform.YOUTUBE)], platform=Platform.YOUTUBE).deliveries[0],
    ]
    for delivery in (*held, *left):
        ledger.change(delivery, f"next_at = now(), {STREAK}")
    ledger.change(left[1], "next_at = now() + interval '1 hour'")
    ledger.change(left[2], "unavailable_since = NULL")
    target = {"all": "", "platform": Platform.TIKTOK, "workspace": str(workspace), "account": str(mine)}[
        scope
    ]
    with ledger.database.begin() as c:
        pause(c, scope, target, "stop")
        pause(c, "workspace", str(theirs), "theirs stays")
        pause(c, "platform", Platform.LINKEDIN, "so does this")
        if scope == "account":
            pause(c, "workspace", target, "and so does one that only sounds alike")
        assert not pauses.lift(c, scope, target, only="another reason")
        assert pauses.lift(c, scope, target)
        assert {(one.scope, one.target) for one in list_pauses(c)} == {
            ("workspace", str(theirs)),
            ("platform", Platform.LINKEDIN),
            *((("workspace", target),) if scope == "account" else ()),
        }
    in_streak = {d for d in (*held, *left) if ledger.delivery(d).unavailable_since is not None}
    assert in_streak == {left[0], left[1], *(() if scope == "all" else (left[3],))}
