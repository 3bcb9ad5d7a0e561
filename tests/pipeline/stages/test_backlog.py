"""The backlog after an outage: released at a rate, workspaces in turn, the oldest first; late posts skipped or held."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from adapters.contract import Platform
from pipeline.domain.delivery import State
from pipeline.stages import delay
from pipeline.store.auth.workspaces import LatePolicy, set_policy
from pipeline.store.database import rows
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.store.ledger import HOUR, Post

LONG_AGO, DAY = -HOUR, timedelta(days=1)


@pytest.fixture
def core(own: CoreFixture) -> CoreFixture:
    return own.with_settings(delay={"backlog_rate": 10.0})


def queued(core: CoreFixture) -> list[UUID]:
    """In the order in which they were released."""
    with core.context.database.begin() as c:
        return [
            r.delivery_id
            for r in rows(c, "SELECT delivery_id FROM moves WHERE target = 'queued' ORDER BY id")
        ]


def turn(core: CoreFixture, when: str) -> None:
    """Says when the next of the backlog may go out."""
    core.run("UPDATE paces SET free_at = clock_timestamp() + CAST(:when AS interval)", when=when)


USED_UP, ALLOWED = "1 hour", "-1 second"


def ids(*posts: Post) -> set[UUID]:
    return {d for p in posts for d in p.deliveries}


def test_the_backlog_goes_out_at_its_rate_and_what_is_due_now_at_once(core: CoreFixture) -> None:
    one = [core.accounts["one"]]
    old, now = core.ledger.posts(50, one, due=LONG_AGO), core.ledger.posts(30, one)
    assert delay.release_due(core.context) == 40
    assert ids(*now) <= set(queued(core)), "nobody who posts now stands behind it"
    with core.context.database.begin() as c:
        [left] = rows(
            c, "SELECT (SELECT free_at FROM paces) >= min(at) AS none FROM moves WHERE target = 'queued'"
        )
    assert left.none, "that second is used up"
    turn(core, USED_UP)
    assert delay.release_due(core.context) == 0
    for _ in range(4):
        turn(core, ALLOWED)
        assert delay.release_due(core.context) == 10
    assert set(queued(core)) == ids(*old, *now)


def test_a_rate_below_one_a_second_lets_one_out_at_a_time(core: CoreFixture) -> None:
    core.ledger.posts(3, [core.accounts["one"]], due=LONG_AGO)
    slow = core.with_settings(delay={"backlog_rate": 0.001})
    assert (delay.release_due(slow.context), delay.release_due(slow.context)) == (1, 0)


def test_workspaces_take_turns_and_each_ones_oldest_goes_first(core: CoreFixture) -> None:
    other = core.ledger.account(core.ledger.workspace())
    crowd = [
        core.ledger.post([core.accounts["one"]], due=LONG_AGO - n * timedelta(minutes=1)) for n in range(20)
    ]
    few = [core.ledger.post([other], due=LONG_AGO - n * timedelta(minutes=1)) for n in range(5)]
    assert delay.release_due(core.context) == 10
    expected = ids(*crowd[-5:], *few)
    assert set(queued(core)[:10]) == expected


def test_each_platform_has_its_own_rate(core: CoreFixture) -> None:
    core.account("two", Platform.PINTEREST)
    core.ledger.posts(20, [core.accounts["one"]], due=LONG_AGO)
    core.ledger.posts(20, [core.accounts["two"]], due=LONG_AGO, platform=Platform.PINTEREST)
    assert delay.release_due(core.context) == 20


def test_a_full_platform_still_takes_some_of_both(core: CoreFixture) -> None:
    one = [core.accounts["one"]]
    old, now = core.ledger.posts(20, one, due=LONG_AGO), core.ledger.posts(20, one)
    narrow = core.with_settings(delay={"ahead": 8})
    assert delay.release_due(narrow.context) == 8
    out = set(queued(core))
    assert (len(out & ids(*old)), len(out & ids(*now))) == (4, 4)


def test_a_platform_with_room_for_one_takes_one(core: CoreFixture) -> None:
    core.ledger.posts(5, [core.accounts["one"]], due=LONG_AGO)
    assert delay.release_due(core.with_settings(delay={"ahead": 1}).context) == 1


def test_it_can_be_switched_off(core: CoreFixture) -> None:
    core.ledger.posts(50, [core.accounts["one"]], due=LONG_AGO)
    assert delay.release_due(core.with_settings(delay={"backlog_rate": 0}).context) == 50


def test_a_retry_that_is_due_now_is_no_backlog(core: CoreFixture) -> None:
    posts = core.ledger.posts(15, [core.accounts["one"]], State.RETRYING, due=LONG_AGO)
    for post in posts:
        core.ledger.change(post.deliveries[0], "next_at = now()")
    assert delay.release_due(core.context) == 15


# --- what a workspace says of late posts -----------------------------------------------------------------------------


def late(core: CoreFixture, policy: LatePolicy | None) -> None:
    with core.context.database.begin() as c:
        set_policy(c, core.workspace, policy)


@pytest.mark.parametrize(("on_late", "state"), [("skip", State.FAILED), ("hold", State.BLOCKED)])
def test_a_workspaces_late_posts_are_skipped_or_held(core: CoreFixture, on_late: str, state: State) -> None:
    one = [core.accounts["one"]]
    stranger = core.ledger.post([core.ledger.account(core.ledger.workspace())], due=-2 * HOUR)
    too_late, in_time = core.ledger.post(one, due=-2 * HOUR), core.ledger.post(one, due=-HOUR / 2)
    own_word = core.ledger.post(one, due=-2 * HOUR, expires=DAY)
    late(core, LatePolicy(after=HOUR, on_late="skip" if on_late == "skip" else "hold"))
    delay.release_due(core.context)
    assert core.ledger.states(too_late) == [state]
    assert core.ledger.delivery(too_late.deliveries[0]).error["code"] == "expired"
    for post in (stranger, in_time, own_word):
        assert core.ledger.states(post) == [State.QUEUED]


def test_without_a_policy_late_posts_are_published(core: CoreFixture) -> None:
    post = core.ledger.post([core.accounts["one"]], due=-DAY)
    late(core, LatePolicy(after=HOUR, on_late="hold"))
    late(core, None)
    delay.release_due(core.context)
    assert core.ledger.states(post) == [State.QUEUED]
