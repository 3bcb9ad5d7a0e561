"""What holds a delivery, by its state, its stored hold, its times and what stands now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from pipeline.domain.delivery import LOOKED_AT, State
from pipeline.domain.hold import STORED, Hold, StandingHold, Waiting, find_hold, find_next_at, list_scopes

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
STANDING = (Hold.BREAKER, Hold.PAUSED, Hold.EPOCH)
RELEASABLE = (State.SCHEDULED, State.RETRYING)


def waiting(
    state: State, held_for: Hold | None = None, *, due: timedelta = -MINUTE, begins: timedelta = -MINUTE
) -> Waiting:
    return Waiting(state=state, held_for=held_for, due_at=NOW + due, next_at=NOW + begins, now=NOW)


@pytest.mark.parametrize("held_for", sorted(STORED))
def test_a_stored_hold_counts_until_its_time(held_for: Hold) -> None:
    for state in RELEASABLE:
        before = waiting(state, held_for, begins=MINUTE)
        assert find_hold(before, STANDING) is held_for
        assert find_next_at(before, held_for) == NOW + MINUTE
        assert find_hold(waiting(state, held_for), ()) is Hold.BACKLOG


@pytest.mark.parametrize("state", [*RELEASABLE, State.QUEUED])
def test_what_is_due_waits_for_the_hold_that_stops_most(state: State) -> None:
    due = waiting(state)
    assert find_hold(due, STANDING) is Hold.EPOCH
    assert find_hold(due, (Hold.BREAKER, Hold.PAUSED)) is Hold.PAUSED
    assert find_hold(due, (Hold.BREAKER,)) is Hold.BREAKER
    assert find_hold(due, ()) is Hold.BACKLOG
    assert find_next_at(due, Hold.PAUSED) is None


@pytest.mark.parametrize("state", [*RELEASABLE, State.QUEUED])
def test_what_is_to_come_or_was_due_just_now_is_not_held(state: State) -> None:
    later = waiting(state, due=MINUTE, begins=MINUTE)
    assert find_hold(later, STANDING) is None
    assert find_hold(waiting(state, begins=-MINUTE / 3), ()) is None


def test_the_next_step_of_a_pause_or_breaker_has_no_time_and_that_of_a_try_has() -> None:
    again = waiting(State.RETRYING, begins=MINUTE)
    assert find_next_at(again, find_hold(again, ())) == NOW + MINUTE
    assert find_hold(again, (Hold.PAUSED,)) is Hold.PAUSED, "its time has come, only its next try has not"
    assert find_next_at(again, Hold.PAUSED) is None


@pytest.mark.parametrize("state", sorted(LOOKED_AT))
def test_a_look_has_a_time_and_waits_only_for_the_limit_of_calls(state: State) -> None:
    look = waiting(state, begins=MINUTE)
    assert find_hold(look, STANDING) is None
    assert find_next_at(look, None) == NOW + MINUTE
    assert find_hold(waiting(state, Hold.RATE, begins=MINUTE), STANDING) is Hold.RATE


def test_media_are_checked_first_and_what_is_settled_blocked_or_in_hand_waits_for_nothing() -> None:
    assert find_hold(waiting(State.ACCEPTED), STANDING) is Hold.CHECKING
    for state in (State.PUBLISHING, State.BLOCKED, State.PUBLISHED, State.FAILED, State.CANCELLED):
        assert find_hold(waiting(state, Hold.RATE), STANDING) is None
        assert find_next_at(waiting(state, begins=MINUTE), None) is None


def test_a_shutdown_counts_until_the_queue_is_read() -> None:
    assert find_hold(waiting(State.QUEUED, Hold.SHUTDOWN), STANDING) is Hold.SHUTDOWN


def test_a_standing_hold_covers_its_scope_alone() -> None:
    workspace, account, delivery = uuid4(), uuid4(), uuid4()
    scopes = list_scopes("tiktok", workspace, account, delivery)

    def covers(scope: str, target: str) -> bool:
        hold = StandingHold(hold=Hold.PAUSED, scope=scope, target=target, why="w", since=NOW, next_at=None)
        return hold.covers(scopes)

    assert covers("all", "")
    assert covers("platform", "tiktok")
    assert covers("workspace", str(workspace))
    assert covers("account", str(account))
    assert covers("delivery", str(delivery))
    assert not covers("platform", "youtube")
    assert not covers("workspace", str(account))
