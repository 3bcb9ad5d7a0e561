"""When an event is tried again, what an answer means, and which events moves make."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pipeline.domain.delivery import State
from pipeline.domain.post import PostStatus
from pipeline.domain.webhook import (
    CHOICES,
    DELAYS,
    LONGEST_HOLD,
    LONGEST_WAIT,
    MAX_DEFERRED,
    TRIES,
    AttemptOutcome,
    EventType,
    Tried,
    compute_hold,
    compute_wait,
    evaluate_status,
    find_delivery_event,
    find_post_event,
    is_deferred,
    parse_retry_after,
)

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
P, E = PostStatus, EventType


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (199, "http_error"),
        (200, "delivered"),
        (299, "delivered"),
        (302, "http_error"),
        (400, "http_error"),
        (410, "gone"),
        (503, "http_error"),
    ],
)
def test_only_2xx_is_a_success(status: int, outcome: str) -> None:
    assert evaluate_status(status) == outcome


@pytest.mark.parametrize(
    ("text", "wait"),
    [
        ("0", timedelta(0)),
        ("120", timedelta(minutes=2)),
        ("99999999999999999999", None),
        ("86401", LONGEST_WAIT),
        ("Fri, 27 Nov 2026 13:00:00 GMT", HOUR),
        ("Fri, 27 Nov 2026 11:00:00 GMT", timedelta(0)),
        ("Fri, 27 Nov 2026 13:00:00", None),
        ("-5", None),
        ("soon", None),
        ("", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str, wait: timedelta | None) -> None:
    assert parse_retry_after(text, NOW) == wait


def test_each_try_waits_longer_and_the_tenth_is_the_last() -> None:
    assert [compute_wait(n, None, 0) for n in range(1, TRIES)] == [*DELAYS]
    assert compute_wait(1, None, 1) == DELAYS[0] * 1.1
    assert compute_wait(1, HOUR, 1) == HOUR
    assert compute_wait(TRIES - 1, HOUR, 0) == DELAYS[-1]
    assert compute_wait(TRIES, HOUR, 0) is None
    assert len(DELAYS) == 9


def test_a_webhook_without_a_success_rests_longer_each_time() -> None:
    holds = [compute_hold(n).total_seconds() for n in range(1, 12)]
    assert holds[:3] == [2, 4, 8]
    assert holds == sorted(holds)
    assert compute_hold(10_000) == LONGEST_HOLD
    assert compute_hold(0) == timedelta(0)


@pytest.mark.parametrize(("asked", "held"), [(0, 5), (5, 5), (60, 60), (86400, 86400)])
def test_a_webhook_rests_as_long_as_its_server_asks_and_never_less_than_the_shortest_pause(
    asked: int, held: int
) -> None:
    assert compute_hold(10_000, [timedelta(seconds=asked)]) == timedelta(seconds=held)


@pytest.mark.parametrize(
    ("status", "retry_after", "before", "deferred"),
    [
        (429, timedelta(0), 0, True),
        (503, LONGEST_HOLD, MAX_DEFERRED - 1, True),
        (429, LONGEST_HOLD, MAX_DEFERRED, False),
        (429, LONGEST_HOLD + timedelta(seconds=1), 0, False),
        (429, None, 0, False),
        (500, timedelta(0), 0, False),
    ],
)
def test_a_short_retry_after_uses_up_no_try(
    status: int, retry_after: timedelta | None, before: int, *, deferred: bool
) -> None:
    tried = Tried(outcome=AttemptOutcome.HTTP_ERROR, status=status, retry_after=retry_after)
    assert is_deferred(tried, before) is deferred


def test_the_tries_of_an_event_end_before_it_may_expire() -> None:
    jitter = 1.1
    longest = sum(DELAYS, MAX_DEFERRED * LONGEST_HOLD) * jitter
    assert longest < timedelta(days=4), "the least that SLIPWAY_WEBHOOKS__KEEP_DAYS may be"


@pytest.mark.parametrize(
    ("status", "retry_after", "holds"),
    [(429, HOUR, True), (503, HOUR, True), (503, None, False), (500, HOUR, False)],
)
def test_429_and_503_with_a_time_hold_the_whole_webhook(
    status: int, retry_after: timedelta | None, *, holds: bool
) -> None:
    tried = Tried(outcome=AttemptOutcome.HTTP_ERROR, status=status, retry_after=retry_after)
    assert tried.holds_webhook is holds


@pytest.mark.parametrize(
    ("before", "after", "mover", "told"),
    [
        (None, P.SCHEDULED, "ingest", E.POST_SCHEDULED),
        (P.SCHEDULED, P.SCHEDULED, "edit", E.POST_SCHEDULED),
        (P.FAILED, P.SCHEDULED, "retry", E.POST_SCHEDULED),
        (P.SCHEDULED, P.PENDING, "delay", None),
        (P.FAILED, P.PENDING, "restore", None),
        (P.PENDING, P.POSTED, "publish", E.POST_POSTED),
        (P.PENDING, P.FAILED, "publish", E.POST_FAILED),
        (P.PENDING, P.PARTIAL, "status", E.POST_PARTIAL),
        (P.SCHEDULED, P.CANCELED, "cancel", E.POST_CANCELED),
        (P.FAILED, P.FAILED, "edit", None),
        (P.PARTIAL, P.POSTED, "edit", E.POST_POSTED),
        (None, P.FAILED, "ingest", E.POST_FAILED),
        (None, P.DRAFT, "ingest", None),
        (P.DRAFT, P.SCHEDULED, "edit", E.POST_SCHEDULED),
    ],
)
def test_a_post_tells_what_its_status_becomes(
    before: PostStatus | None, after: PostStatus, mover: str, told: EventType | None
) -> None:
    assert find_post_event(before, after, {mover}) is told


@pytest.mark.parametrize(
    ("target", "held", "earlier", "told"),
    [
        (State.PUBLISHED, None, None, E.DELIVERY_PUBLISHED),
        (State.FAILED, None, None, E.DELIVERY_FAILED),
        (State.BLOCKED, None, None, E.DELIVERY_BLOCKED),
        (State.UNKNOWN, None, None, E.DELIVERY_UNKNOWN),
        (State.CANCELLED, None, None, None),
        (State.QUEUED, None, None, None),
        (State.SCHEDULED, "rate", None, E.DELIVERY_HELD),
        (State.SCHEDULED, "rate", "min_gap", E.DELIVERY_HELD),
        (State.SCHEDULED, "rate", "rate", None),
        (State.SCHEDULED, "prepared_early", None, None),
        (State.SCHEDULED, "shutdown", None, None),
    ],
)
def test_a_delivery_tells_its_ends_and_a_new_hold(
    target: State, held: str | None, earlier: str | None, told: EventType | None
) -> None:
    assert find_delivery_event(target, held, earlier) is told


def test_every_type_can_be_chosen_but_what_is_about_the_webhook_itself() -> None:
    assert set(EventType) - set(CHOICES) == {E.WEBHOOK_PAUSED, E.WEBHOOK_TEST}
