"""What holds a delivery, by its state, its stored hold, its times and what stands now."""

from __future__ import annotations

from datetime import timedelta
from itertools import product
from uuid import UUID

import pytest

from pipeline.broker.queues import ALL_QUEUES
from pipeline.domain.delivery import LOOKED_AT, State
from pipeline.domain.hold import STORED, Hold
from pipeline.store.canaries import LEVEL_AGE, WORKER_LEVEL, record_consumed
from pipeline.store.database import row
from pipeline.store.deliveries.pauses import pause
from pipeline.store.deliveries.selection import DeliveryFacts, find_delivery
from pipeline.store.recovery import epoch
from tests.pipeline.store.ledger import Ledger

MINUTE = timedelta(minutes=1)
RELEASABLE = (State.SCHEDULED, State.RETRYING)
TO_SEND = (*RELEASABLE, State.QUEUED)


@pytest.fixture
def account(ledger: Ledger) -> UUID:
    return ledger.account(ledger.workspace())


def put(
    ledger: Ledger,
    account: UUID,
    state: State,
    held_for: Hold | None = None,
    *,
    due: timedelta = -MINUTE,
    begins: timedelta = -MINUTE,
    level: int = 1,
) -> UUID:
    [delivery] = ledger.post([account], state).deliveries
    ledger.change(
        delivery,
        """held_for = :hold, level = :level, due_at = now() + CAST(:due AS interval),
           next_at = now() + CAST(:begins AS interval)""",
        hold=held_for,
        level=level,
        due=due,
        begins=begins,
    )
    return delivery


def read(ledger: Ledger, delivery: UUID) -> DeliveryFacts:
    found = ledger.do(find_delivery, delivery)
    assert found is not None
    return found


def stand(ledger: Ledger, *holds: Hold) -> None:
    """Let these holds stand for all accounts; newer_worker: for what is above level 1."""
    with ledger.database.begin() as c:
        if Hold.PAUSED in holds:
            pause(c, "all", "", "test")
        if Hold.NEWER_WORKER in holds:
            record_consumed(c, ALL_QUEUES, 1)
        if Hold.EPOCH in holds:
            epoch.hold(c, "declared", since=None, until=None)
    if Hold.BREAKER in holds:
        ledger.open_breaker()


def test_a_stored_hold_counts_until_its_time(ledger: Ledger, account: UUID) -> None:
    stand(ledger, Hold.EPOCH, Hold.BREAKER)
    for held_for, state in product(sorted(STORED), RELEASABLE):
        before = read(ledger, put(ledger, account, state, held_for, begins=MINUTE))
        assert before.held_for is held_for
        assert before.next_at is not None
        assert read(ledger, put(ledger, account, state, held_for)).held_for is Hold.EPOCH


def test_of_several_the_one_that_an_operator_ends_first_is_shown(ledger: Ledger, account: UUID) -> None:
    deliveries = [put(ledger, account, state, level=2) for state in TO_SEND]
    for hold in (Hold.BACKLOG, Hold.BREAKER, Hold.EPOCH, Hold.NEWER_WORKER, Hold.PAUSED):
        stand(ledger, hold)
        for found in (read(ledger, delivery) for delivery in deliveries):
            assert (found.held_for, found.next_at) == (hold, None)


def test_only_pauses_and_levels_hold_what_is_to_come(ledger: Ledger, account: UUID) -> None:
    later = {
        level: [put(ledger, account, state, due=MINUTE, begins=MINUTE, level=level) for state in TO_SEND]
        for level in (1, 2)
    }

    def shown(level: int) -> set[tuple[Hold | None, bool]]:
        found = [read(ledger, delivery) for delivery in later[level]]
        return {(one.held_for, one.next_at is None) for one in found}

    for state in TO_SEND:
        assert read(ledger, put(ledger, account, state, begins=-MINUTE / 3)).held_for is None
    stand(ledger, Hold.EPOCH, Hold.BREAKER, Hold.NEWER_WORKER)
    assert {held_for for held_for, _ in shown(1)} == {None}
    assert {held_for for held_for, _ in shown(2)} == {Hold.NEWER_WORKER}
    stand(ledger, Hold.PAUSED)
    assert shown(1) == shown(2) == {(Hold.PAUSED, True)}


def test_a_pause_and_a_level_are_shown_before_a_limit_that_ends_by_itself(
    ledger: Ledger, account: UUID
) -> None:
    delivery = put(ledger, account, State.SCHEDULED, Hold.DAILY_QUOTA, begins=MINUTE, level=2)
    for hold in (Hold.NEWER_WORKER, Hold.PAUSED):
        stand(ledger, hold)
        assert read(ledger, delivery).held_for is hold


def test_a_look_waits_for_the_limit_of_calls_or_for_a_newer_worker(ledger: Ledger, account: UUID) -> None:
    looks = [put(ledger, account, state, begins=MINUTE) for state in sorted(LOOKED_AT)]
    limited = [put(ledger, account, state, Hold.RATE, begins=MINUTE, level=2) for state in sorted(LOOKED_AT)]
    stand(ledger, Hold.PAUSED, Hold.EPOCH, Hold.BREAKER)
    for found in (read(ledger, delivery) for delivery in looks):
        assert found.held_for is None
        assert found.next_at is not None
    assert {read(ledger, delivery).held_for for delivery in limited} == {Hold.RATE}
    stand(ledger, Hold.NEWER_WORKER)
    assert {read(ledger, delivery).held_for for delivery in limited} == {Hold.NEWER_WORKER}


def test_media_are_checked_first_and_what_is_settled_blocked_or_in_hand_waits_for_nothing(
    ledger: Ledger, account: UUID
) -> None:
    stand(ledger, Hold.PAUSED, Hold.EPOCH, Hold.BREAKER)
    assert read(ledger, put(ledger, account, State.ACCEPTED)).held_for is Hold.CHECKING
    for state in (State.PUBLISHING, State.BLOCKED, State.PUBLISHED, State.FAILED, State.CANCELLED):
        found = read(ledger, put(ledger, account, state, Hold.RATE, begins=MINUTE, level=2))
        assert (found.held_for, found.next_at) == (None, None)


def test_a_shutdown_counts_until_the_queue_is_read(ledger: Ledger, account: UUID) -> None:
    stand(ledger, Hold.EPOCH, Hold.BREAKER)
    assert read(ledger, put(ledger, account, State.QUEUED, Hold.SHUTDOWN)).held_for is Hold.SHUTDOWN


# --- the level of a queue's workers ----------------------------------------------------------------------------------


def read_level(ledger: Ledger, platform: str = "tiktok") -> int | None:
    with ledger.database.begin() as c:
        sql = f"SELECT {WORKER_LEVEL.format(of='p')} AS level FROM (SELECT CAST(:p AS text) AS platform) p"  # noqa: S608
        found = row(c, sql, p=platform)
    assert found is not None
    level: int | None = found.level
    return level


def consume(ledger: Ledger, level: int, *queues: str) -> None:
    ledger.do(record_consumed, queues, level)


def test_the_newest_worker_of_a_queue_counts_and_the_oldest_queue_on_the_way(ledger: Ledger) -> None:
    assert read_level(ledger) is None
    consume(ledger, 3, *ALL_QUEUES)
    assert read_level(ledger) == 3
    for queue in ("upkeep", "publish.youtube", "status", "delay", "publish.tiktok"):
        with ledger.database.begin() as c:
            c.exec_driver_sql("UPDATE canaries SET level = 3, level_at = now()")
        consume(ledger, 2, queue)
        assert read_level(ledger) == 3, "a newer worker took a message just now"
        ledger.do(
            row,
            "UPDATE canaries SET level_at = level_at - CAST(:a AS interval) RETURNING queue",
            a=LEVEL_AGE,
        )
        consume(ledger, 2, queue)
        assert read_level(ledger) == (3 if queue in ("upkeep", "publish.youtube") else 2)
        consume(ledger, 3, queue)
        assert read_level(ledger) == 3, "as soon as a newer worker takes a message"
