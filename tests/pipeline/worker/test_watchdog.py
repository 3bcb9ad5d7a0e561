from __future__ import annotations

import pytest

from pipeline.worker.watchdog import StallDetector

EVERY = 5.0


def glances(
    silence: StallDetector, number: int, start: float = 0.0, *, room: bool = True, waiting: bool = True
) -> list[bool]:
    return [silence.deaf(start + EVERY * n, room=room, waiting=waiting) for n in range(number)]


@pytest.fixture
def silence() -> StallDetector:
    return StallDetector(limit=60, asleep=21)


def test_messages_wait_a_slot_is_free_and_nothing_is_taken_for_a_minute(silence: StallDetector) -> None:
    assert glances(silence, 14) == [*[False] * 12, True, True]


@pytest.mark.parametrize(("room", "waiting"), [(False, True), (True, False)])
def test_all_slots_busy_or_nothing_to_take_is_no_deafness(
    silence: StallDetector, *, room: bool, waiting: bool
) -> None:
    assert not any(glances(silence, 500, room=room, waiting=waiting))


def test_whoever_takes_something_now_and_then_is_not_deaf(silence: StallDetector) -> None:
    for n in range(100):
        if n % 10 == 0:
            silence.heard(EVERY * n)
        assert not silence.deaf(EVERY * n, room=True, waiting=True)


def test_an_idle_one_gets_its_whole_minute_from_the_first_message(silence: StallDetector) -> None:
    silence.heard(0)
    assert not any(glances(silence, 100, waiting=False))
    assert glances(silence, 13, 500) == [*[False] * 12, True]


def test_a_slot_that_was_free_for_a_moment_begins_anew(silence: StallDetector) -> None:
    assert not any(glances(silence, 12))
    assert not silence.deaf(60, room=False, waiting=True)
    assert not any(glances(silence, 12, 65))


def test_a_process_that_stood_still_itself_knows_nothing(silence: StallDetector) -> None:
    assert not any(glances(silence, 6))
    assert not silence.deaf(1000, room=True, waiting=True), "stopped for a quarter of an hour"
    assert glances(silence, 14, 1005) == [*[False] * 12, True, True]
