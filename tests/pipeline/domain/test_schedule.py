"""Slots of time, backoff and pauses between looks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.domain.post import backoff, is_immediate, look_pause, next_at, slot_end

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SLOT = timedelta(milliseconds=100)
MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
PAUSES = st.timedeltas(timedelta(seconds=1), timedelta(hours=2))


@pytest.mark.parametrize(
    ("seconds", "immediate"),
    [(-30.1, False), (-30, True), (-29.9, True), (0, True), (29.9, True), (30, True), (30.1, False)],
)
def test_at_once_is_half_a_minute_to_either_side(seconds: float, *, immediate: bool) -> None:
    assert is_immediate(NOW + timedelta(seconds=seconds), NOW) is immediate


def test_no_time_means_at_once() -> None:
    assert is_immediate(None, NOW)


def test_work_starts_a_lead_before_it_is_due() -> None:
    assert next_at(NOW, timedelta(minutes=20)) == NOW - timedelta(minutes=20)
    assert next_at(NOW, timedelta(0)) == NOW


@pytest.mark.parametrize(
    ("micros", "end"), [(0, 0), (1, 100_000), (99_999, 100_000), (100_000, 100_000), (950_001, 1_000_000)]
)
def test_a_slot_ends_at_a_multiple_of_its_width(micros: int, end: int) -> None:
    second = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert slot_end(second + timedelta(microseconds=micros), SLOT) == second + timedelta(microseconds=end)


@given(MOMENTS, st.sampled_from([0.05, 0.1, 0.25, 1.0]))
def test_a_slot_never_ends_before_its_moment_and_at_most_a_width_later(at: datetime, width: float) -> None:
    slot = timedelta(seconds=width)
    blur = timedelta(microseconds=2)  # a float holds a moment of these years to less than this
    end = slot_end(at, slot)
    assert at - blur <= end < at + slot + blur
    assert end.utcoffset() == timedelta(0)


@given(MOMENTS, st.timedeltas(timedelta(0), timedelta(minutes=1)))
def test_slots_keep_the_order_of_moments(at: datetime, later: timedelta) -> None:
    assert slot_end(at, SLOT) <= slot_end(at + later, SLOT)


@given(st.integers(0, 1000), PAUSES, PAUSES, st.floats(0, 1))
def test_a_pause_after_a_failure_is_between_a_second_and_the_cap(
    spent: int, base: timedelta, cap: timedelta, chance: float
) -> None:
    pause = backoff(spent, base=base, cap=cap, chance=chance)
    assert timedelta(seconds=1) <= pause <= max(cap, timedelta(seconds=1))


@given(st.integers(0, 30), PAUSES, PAUSES)
def test_the_longest_pause_doubles_until_the_cap(spent: int, base: timedelta, cap: timedelta) -> None:
    pause = backoff(spent, base=base, cap=cap, chance=1.0)
    assert pause == min(cap, base * 2 ** min(spent, 20))
    assert backoff(spent + 1, base=base, cap=cap, chance=1.0) >= pause


def test_the_dice_spread_the_pause_over_all_of_it() -> None:
    base, cap = timedelta(seconds=10), timedelta(hours=1)
    assert backoff(1, base=base, cap=cap, chance=0.25) == timedelta(seconds=5)
    assert backoff(1, base=base, cap=cap, chance=0.0) == timedelta(seconds=1)


@given(st.integers(0, 1000), PAUSES, PAUSES)
def test_looks_get_rarer_up_to_the_longest_pause(looks: int, first: timedelta, longest: timedelta) -> None:
    pause = look_pause(looks, first, longest)
    assert min(first, longest) <= pause <= longest
    assert look_pause(looks + 1, first, longest) >= pause


def test_doubling_ends_before_a_pause_is_longer_than_time_itself() -> None:
    day, ever = timedelta(days=1), timedelta.max
    assert look_pause(1000, day, ever) == day * 2**20
    assert backoff(1000, base=day, cap=ever, chance=1.0) == day * 2**20
