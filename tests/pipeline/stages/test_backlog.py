"""After an outage: what was kept back goes out at a rate, workspaces in turn, the oldest first, and some of it not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

import pytest

from adapters.contract import Platform
from config.settings import Settings
from pipeline.domain.delivery import State
from pipeline.stages import delay
from pipeline.store.database import row, rows
from pipeline.store.posts.late_policy import LatePolicy, set_policy
from pipeline.store.vault import Vault
from pipeline.wiring import build
from tests.pipeline.core_fixture import House, moved_in
from tests.pipeline.store.ledger import HOUR, Ledger, Post

LONG_AGO, DAY = -HOUR, timedelta(days=1)


@pytest.fixture
def house(settings: Settings, vault_key: str) -> Iterator[House]:
    context = build(settings)
    ledger = Ledger(settings.store.url.get_secret_value(), Vault(vault_key))
    made = moved_in(context, ledger).with_settings(delay={"backlog_rate": 10.0})
    made.account("one")
    yield made
    ledger.database.close()
    context.database.close()


def queued(house: House) -> list[UUID]:
    """In the order in which they were released."""
    with house.context.database.begin() as c:
        return [
            r.delivery_id
            for r in rows(c, "SELECT delivery_id FROM moves WHERE target = 'queued' ORDER BY id")
        ]


def turn(house: House, when: str) -> None:
    """Says when the next of the backlog may go out."""
    with house.context.database.begin() as c:
        row(
            c,
            "UPDATE paces SET free_at = clock_timestamp() + CAST(:when AS interval) RETURNING kind",
            when=when,
        )


USED_UP, ALLOWED = "1 hour", "-1 second"


def ids(*posts: Post) -> set[UUID]:
    return {d for p in posts for d in p.deliveries}


def test_the_backlog_goes_out_at_its_rate_and_what_is_due_now_at_once(house: House) -> None:
    one = [house.accounts["one"]]
    old, now = house.ledger.posts(50, one, due=LONG_AGO), house.ledger.posts(30, one)
    assert delay.slot(house.context) == 40
    assert ids(*now) <= set(queued(house)), "nobody who posts now stands behind it"
    with house.context.database.begin() as c:
        [left] = rows(
            c, "SELECT (SELECT free_at FROM paces) >= min(at) AS none FROM moves WHERE target = 'queued'"
        )
    assert left.none, "that second is used up"
    turn(house, USED_UP)
    assert delay.slot(house.context) == 0
    for _ in range(4):
        turn(house, ALLOWED)
        assert delay.slot(house.context) == 10
    assert set(queued(house)) == ids(*old, *now)


def test_a_rate_below_one_a_second_lets_one_out_at_a_time(house: House) -> None:
    house.ledger.posts(3, [house.accounts["one"]], due=LONG_AGO)
    slow = house.with_settings(delay={"backlog_rate": 0.001})
    assert (delay.slot(slow.context), delay.slot(slow.context)) == (1, 0)


def test_workspaces_take_turns_and_each_ones_oldest_goes_first(house: House) -> None:
    other = house.ledger.account(house.ledger.workspace())
    crowd = [
        house.ledger.post([house.accounts["one"]], due=LONG_AGO - n * timedelta(minutes=1)) for n in range(20)
    ]
    few = [house.ledger.post([other], due=LONG_AGO - n * timedelta(minutes=1)) for n in range(5)]
    assert delay.slot(house.context) == 10
    expected = ids(*crowd[-5:], *few)
    assert set(queued(house)[:10]) == expected


def test_each_platform_has_its_own_rate(house: House) -> None:
    house.account("two", Platform.PINTEREST)
    house.ledger.posts(20, [house.accounts["one"]], due=LONG_AGO)
    house.ledger.posts(20, [house.accounts["two"]], due=LONG_AGO, platform=Platform.PINTEREST)
    assert delay.slot(house.context) == 20


def test_a_full_platform_still_takes_some_of_both(house: House) -> None:
    one = [house.accounts["one"]]
    old, now = house.ledger.posts(20, one, due=LONG_AGO), house.ledger.posts(20, one)
    narrow = house.with_settings(delay={"ahead": 8})
    assert delay.slot(narrow.context) == 8
    out = set(queued(house))
    assert (len(out & ids(*old)), len(out & ids(*now))) == (4, 4)


def test_a_platform_with_room_for_one_takes_one(house: House) -> None:
    house.ledger.posts(5, [house.accounts["one"]], due=LONG_AGO)
    assert delay.slot(house.with_settings(delay={"ahead": 1}).context) == 1


def test_it_can_be_switched_off(house: House) -> None:
    house.ledger.posts(50, [house.accounts["one"]], due=LONG_AGO)
    assert delay.slot(house.with_settings(delay={"backlog_rate": 0}).context) == 50


def test_a_retry_that_is_due_now_is_no_backlog(house: House) -> None:
    posts = house.ledger.posts(15, [house.accounts["one"]], State.RETRYING, due=LONG_AGO)
    for post in posts:
        house.ledger.change(post.deliveries[0], "next_at = now()")
    assert delay.slot(house.context) == 15


# --- what a workspace says of late posts -----------------------------------------------------------------------------


def late(house: House, policy: LatePolicy | None) -> None:
    with house.context.database.begin() as c:
        set_policy(c, house.workspace, policy)


@pytest.mark.parametrize(("on_late", "state"), [("skip", State.FAILED), ("hold", State.BLOCKED)])
def test_a_workspaces_late_posts_are_skipped_or_held(house: House, on_late: str, state: State) -> None:
    one = [house.accounts["one"]]
    stranger = house.ledger.post([house.ledger.account(house.ledger.workspace())], due=-2 * HOUR)
    too_late, in_time = house.ledger.post(one, due=-2 * HOUR), house.ledger.post(one, due=-HOUR / 2)
    own_word = house.ledger.post(one, due=-2 * HOUR, expires=DAY)
    late(house, LatePolicy(after=HOUR, on_late="skip" if on_late == "skip" else "hold"))
    delay.slot(house.context)
    assert house.ledger.states(too_late) == [state]
    assert house.ledger.delivery(too_late.deliveries[0]).error["code"] == "expired"
    for post in (stranger, in_time, own_word):
        assert house.ledger.states(post) == [State.QUEUED]


def test_without_a_policy_late_posts_are_published(house: House) -> None:
    post = house.ledger.post([house.accounts["one"]], due=-DAY)
    late(house, LatePolicy(after=HOUR, on_late="hold"))
    late(house, None)
    delay.slot(house.context)
    assert house.ledger.states(post) == [State.QUEUED]
