"""Days of a zone are whole days of its clocks, also when these are changed."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from pipeline.dashboard.clock import format_offset, format_wall_time, split_days, split_hours

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(("day", "hours"), [((2026, 3, 29), 23), ((2026, 10, 25), 25), ((2026, 11, 27), 24)])
def test_a_day_has_as_many_hours_as_its_clocks_go_through(day: tuple[int, int, int], hours: int) -> None:
    [span] = split_days(date(*day), 1, BERLIN)
    assert format_wall_time(span[0], BERLIN) == f"{date(*day)}T00:00:00"
    parts = split_hours([span])
    assert len(parts) == hours
    assert (parts[0][0], parts[-1][1]) == span
    assert all(end == start for (_, end), (start, _) in itertools.pairwise(parts))


def test_days_follow_each_other_without_a_gap() -> None:
    spans = split_days(date(2026, 10, 19), 14, BERLIN)
    assert all(end == start for (_, end), (start, _) in itertools.pairwise(spans))
    assert sum((end - start for start, end in spans), timedelta()) == timedelta(days=14, hours=1)


def test_a_day_whose_midnight_is_skipped_begins_when_clocks_go_on() -> None:
    beirut = ZoneInfo("Asia/Beirut")
    [span] = split_days(date(2026, 3, 29), 1, beirut)
    assert format_wall_time(span[0], beirut) == "2026-03-29T01:00:00"
    assert span[1] - span[0] == timedelta(hours=23)


def test_the_last_part_of_a_day_may_be_shorter_than_an_hour() -> None:
    lord_howe = ZoneInfo("Australia/Lord_Howe")  # clocks change by half an hour
    [span] = split_days(date(2026, 10, 4), 1, lord_howe)
    parts = split_hours([span])
    assert (len(parts), parts[-1][1] - parts[-1][0]) == (24, timedelta(minutes=30))


def test_offsets_have_a_sign_hours_and_minutes() -> None:
    moment = datetime(2026, 11, 27, tzinfo=UTC)
    zones = ("UTC", "Europe/Berlin", "Asia/Kolkata", "America/St_Johns")
    assert [format_offset(moment, ZoneInfo(zone)) for zone in zones] == [
        "+00:00",
        "+01:00",
        "+05:30",
        "-03:30",
    ]
