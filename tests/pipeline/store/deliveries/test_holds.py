"""What holds a delivery, by its state, its stored hold, its times and what stands now."""

from __future__ import annotations

from datetime import timedelta
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
    with ledger.database.begin() as c:
        found = find_delivery(c, delivery)
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
            row(
                c,
                """INSERT INTO platform_health (platform, opened_at, probe_at, why)
                   VALUES ('tiktok', now(), now(), 'test') RETURNING platform""",
            )


@pytest.mark.parametrize("held_for", sorted(STORED))
def test_a_stored_hold_counts_until_its_time(ledger: Ledger, account: UUID, held_for: Hold) -> None:
    stand(ledger, Hold.EPOCH, Hold.BREAKER)
    for state in RELEASABLE:
        before = read(ledger, put(ledger, account, state, held_for, begins=MINUTE))
        assert before.held_for is held_for
        assert before.next_at is not None
        assert read(ledger, put(ledger, account, state, held_for)).held_for is Hold.EPOCH


@pytest.mark.parametrize("state", TO_SEND)
def test_of_several_the_one_that_an_operator_ends_first_is_shown(
    ledger: Ledger, account: UUID, state: State
) -> None:
    delivery = put(ledger, account, state, level=2)
    shown = []
    for hold in (None, Hold.BREAKER, Hold.EPOCH, Hold.NEWER_WORKER, Hold.PAUSED):
        stand(ledger, *filter(None, [hold]))
        found = read(ledger, delivery)
        shown.append(found.held_for)
        assert found.next_at is None
    assert shown == [Hold.BACKLOG, Hold.BREAKER, Hold.EPOCH, Hold.NEWER_WORKER, Hold.PAUSED]


@pytest.mark.parametrize("state", TO_SEND)
def test_only_pauses_and_levels_hold_what_is_to_come(ledger: Ledger, account: UUID, state: State) -> None:
    later = {level: put(ledger, account, state, due=MINUTE, begins=MINUTE, level=level) for level in (1, 2)}
    just_due = put(ledger, account, state, begins=-MINUTE / 3)
    assert read(ledger, just_due).held_for is None
    stand(ledger, Hold.EPOCH, Hold.BREAKER, Hold.NEWER_WORKER)
    assert read(ledger, later[1]).held_for is None
    assert read(ledger, later[2]).held_for is Hold.NEWER_WORKER
    stand(ledger, Hold.PAUSED)
    for delivery in later.values():
        found = read(ledger, delivery)
        assert (found.held_for, found.next_at) == (Hold.PAUSED, None)


def test_a_pause_and_a_level_are_shown_before_a_limit_that_ends_by_itself(
    ledger: Ledger, account: UUID
) -> None:
    delivery = put(ledger, account, State.SCHEDULED, Hold.DAILY_QUOTA, begins=MINUTE, level=2)
    for hold in (Hold.NEWER_WORKER, Hold.PAUSED):
        stand(ledger, hold)
        assert read(ledger, delivery).held_for is hold


@pytest.mark.parametrize("state", sorted(LOOKED_AT))
def test_a_look_waits_for_the_limit_of_calls_or_for_a_newer_worker(
    ledger: Ledger, account: UUID, state: State
) -> None:
    looks = put(ledger, account, state, begins=MINUTE)
    limited = put(ledger, account, state, Hold.RATE, begins=MINUTE, level=2)
    stand(ledger, Hold.PAUSED, Hold.EPOCH, Hold.BREAKER)
    found = read(ledger, looks)
    assert found.held_for is None
    assert found.next_at is not None
    assert read(ledger, limited).held_for is Hold.RATE
    stand(ledger, Hold.NEWER_WORKER)
    assert read(ledger, limited).held_for is Hold.NEWER_WORKER


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
    with ledger.database.begin() as c:
        record_consumed(c, queues, level)


def test_the_newest_worker_of_a_queue_counts_and_the_oldest_queue_on_the_way(ledger: Ledger) -> None:
    assert read_level(ledger) is None
    consume(ledger, 3, *ALL_QUEUES)
    assert read_level(ledger) == 3
    for queue in ("upkeep", "publish.youtube", "status", "delay", "publish.tiktok"):
        with ledger.database.begin() as c:
            c.exec_driver_sql("UPDATE canaries SET level = 3, level_at = now()")
        consume(ledger, 2, queue)
        assert read_level(ledger) == 3, "a newer worker took a message just now"
        with ledger.database.begin() as c:
            row(
                c,
                "UPDATE canaries SET level_at = level_at - CAST(:a AS interval) RETURNING queue",
                a=LEVEL_AGE,
            )
        consume(ledger, 2, queue)
        assert read_level(ledger) == (3 if queue in ("upkeep", "publish.youtube") else 2)
        consume(ledger, 3, queue)
        assert read_level(ledger) == 3, "as soon as a newer worker takes a message"
