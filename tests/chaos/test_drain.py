from __future__ import annotations

import pytest

from tests.chaos.drain import LONGEST, QUIET_FOR, RESTLESS, Drain
from tests.chaos.judge import ReportedState

A, B = ("a", "tiktok", "them"), ("b", "pinterest", "them")


def states(a: str, b: str = "published") -> dict[tuple[str, str, str], ReportedState]:
    return {A: ReportedState(state=a), B: ReportedState(state=b)}


def test_it_is_over_when_all_is_settled() -> None:
    drain = Drain(0, 120)
    assert not drain.is_over(states("queued"), 1)
    assert drain.is_over(states("failed"), 2)


@pytest.mark.parametrize("waits", ["blocked", "unknown"])
def test_what_waits_for_a_person_is_left_once_nothing_changes(waits: str) -> None:
    drain = Drain(0, 120)
    assert not drain.is_over(states(waits, "queued"), 1)
    assert not drain.is_over(states(waits), QUIET_FOR)
    assert not drain.is_over(states(waits), QUIET_FOR * 2), "what changed last may still move it"
    assert drain.is_over(states(waits), QUIET_FOR * 2 + 1)


def test_a_look_that_only_names_the_time_of_the_next_one_changes_nothing() -> None:
    drain = Drain(0, 120)
    looks = [
        ReportedState(state="unknown", error=f"It is looked at again at 10:00:0{n} UTC.") for n in range(4)
    ]
    over = [drain.is_over({A: look}, 1 + n * QUIET_FOR / 2) for n, look in enumerate(looks)]
    assert over == [False, False, False, True]


def test_what_stands_still_has_its_time() -> None:
    drain = Drain(0, 120)
    assert not drain.is_over(states("queued"), 0)
    assert not drain.is_over(states("queued"), LONGEST - 1)
    assert drain.is_over(states("queued"), LONGEST + 1)


def test_what_keeps_moving_without_settling_ends_the_run() -> None:
    drain = Drain(0, 120)
    for n in range(RESTLESS):
        assert not drain.is_over(states(("retrying", "publishing")[n % 2], "unknown"), n)
    late = RESTLESS + QUIET_FOR
    over = [drain.is_over(states(("retrying", "publishing")[n % 2], "unknown"), late + n) for n in range(20)]
    assert over[-1], "also while another delivery waits for an operator"


def test_a_long_run_has_longer() -> None:
    drain = Drain(0, 4000)
    assert not drain.is_over(states("queued"), LONGEST + 1)
    assert drain.is_over(states("queued"), 2001)
