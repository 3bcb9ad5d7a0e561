"""The stall detector: what counts as a stalled consumer, and what does not."""

from __future__ import annotations

import pytest

from pipeline.worker.liveness import StallDetector

EVERY = 5.0


def check_repeatedly(
    detector: StallDetector, number: int, start: float = 0.0, *, room: bool = True, waiting: bool = True
) -> list[bool]:
    return [
        detector.is_stalled(start + EVERY * n, has_free_slot=room, has_messages=waiting)
        for n in range(number)
    ]


@pytest.fixture
def detector() -> StallDetector:
    return StallDetector(limit=60, max_gap=21)


def test_messages_wait_a_slot_is_free_and_nothing_is_taken_for_a_minute(detector: StallDetector) -> None:
    assert check_repeatedly(detector, 14) == [*[False] * 12, True, True]


@pytest.mark.parametrize(("room", "waiting"), [(False, True), (True, False)])
def test_all_slots_busy_or_nothing_to_take_is_no_deafness(
    detector: StallDetector, *, room: bool, waiting: bool
) -> None:
    assert not any(check_repeatedly(detector, 500, room=room, waiting=waiting))


def test_whoever_takes_something_now_and_then_is_not_deaf(detector: StallDetector) -> None:
    for n in range(100):
        if n % 10 == 0:
            detector.record_message(EVERY * n)
        assert not detector.is_stalled(EVERY * n, has_free_slot=True, has_messages=True)


def test_an_idle_one_gets_its_whole_minute_from_the_first_message(detector: StallDetector) -> None:
    detector.record_message(0)
    assert not any(check_repeatedly(detector, 100, waiting=False))
    assert check_repeatedly(detector, 13, 500) == [*[False] * 12, True]


def test_a_slot_that_was_free_for_a_moment_begins_anew(detector: StallDetector) -> None:
    assert not any(check_repeatedly(detector, 12))
    assert not detector.is_stalled(60, has_free_slot=False, has_messages=True)
    assert not any(check_repeatedly(detector, 12, 65))


def test_a_process_that_stood_still_itself_knows_nothing(detector: StallDetector) -> None:
    assert not any(check_repeatedly(detector, 6))
    assert not detector.is_stalled(1000, has_free_slot=True, has_messages=True), (
        "stopped for a quarter of an hour"
    )
    assert check_repeatedly(detector, 14, 1005) == [*[False] * 12, True, True]
