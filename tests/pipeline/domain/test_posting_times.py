"""Posting times: how they are written, and the next one that is free, over changes of clocks too."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.domain.posting_times import (
    InvalidPostingTimes,
    PostingTimes,
    describe_times,
    parse_times,
)

BERLIN = ZoneInfo("Europe/Berlin")
MONDAY = datetime(2026, 11, 30, 0, 0, tzinfo=UTC)


def read(text: str, **more: object) -> PostingTimes:
    return PostingTimes.from_dict({"times": parse_times(text), **more}, "Europe/Berlin")


def list_free(times: PostingTimes, after: datetime, many: int) -> list[str]:
    """Take free times one after the other, and return them as the zone's clocks show them."""
    taken: list[datetime] = []
    for _ in range(many):
        found = times.find_free(after, taken)
        assert found is not None
        taken.append(found)
    return [f"{one.astimezone(times.zone):%a %H:%M}" for one in taken]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mon-fri 9:00 18:00; sat 10:00", "mon-fri 09:00 18:00; sat 10:00"),
        ("daily 18:00 09:00", "daily 09:00 18:00"),
        ("Monday,wed 07:30", "mon,wed 07:30"),
        ("sat-mon 12:00", "mon,sat,sun 12:00"),
    ],
)
def test_times_are_read_and_written_alike(text: str, said: str) -> None:
    times = read(text)
    assert describe_times(times) == said
    assert describe_times(read(said)) == said
    assert PostingTimes.from_dict(times.to_dict(), "UTC") == times


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("mon 25:00", "'25:00' is no time of day such as 09:00 or 18:30."),
        ("mo 09:00", "'mo' is no day such as mon, or days such as mon-fri or daily."),
        ("mon 09:00 9:00", "monday has 09:00 twice."),
        ("mon 09:00; mon 10:00", "monday stands twice: give all of its times together."),
        (" ; ", "It names no day: write mon-fri 09:00 18:00; sat 10:00."),
        ("mon " + " ".join(f"{n}:15" for n in range(24)) + " 1:30", "monday has 25 times; 24 at most."),
    ],
)
def test_a_text_that_cannot_be_read_is_refused_with_rule_and_value(text: str, why: str) -> None:
    with pytest.raises(InvalidPostingTimes) as refused:
        parse_times(text)
    assert (refused.value.field, str(refused.value)) == ("times", why)


def test_without_any_there_are_three_a_day_in_the_zone_of_the_workspace() -> None:
    times = PostingTimes.from_dict({}, "Asia/Tokyo")
    assert list_free(times, MONDAY, 4) == ["Mon 12:00", "Mon 18:00", "Tue 09:00", "Tue 12:00"]


def test_a_free_time_is_later_and_keeps_the_gap_and_the_limit_of_a_day() -> None:
    times = read("daily 09:00 10:00 18:00", most_a_day=2, least_gap_minutes=90)
    assert list_free(times, MONDAY, 4) == ["Mon 09:00", "Mon 18:00", "Tue 09:00", "Tue 18:00"]
    nine = datetime(2026, 11, 30, 9, tzinfo=BERLIN)
    assert times.find_free(nine, []) == datetime(2026, 11, 30, 10, tzinfo=BERLIN)
    early = nine - timedelta(minutes=89)
    assert times.find_free(MONDAY, [early]) == datetime(2026, 11, 30, 10, tzinfo=BERLIN)


def test_a_gap_of_none_still_leaves_one_post_a_time() -> None:
    assert list_free(read("mon 09:00 09:01", least_gap_minutes=0), MONDAY, 3) == [
        "Mon 09:00",
        "Mon 09:01",
        "Mon 09:00",
    ]


def test_no_time_within_a_year_is_none() -> None:
    assert PostingTimes.from_dict({"times": {}}, "UTC").find_free(MONDAY, []) is None


def test_a_time_that_clocks_skip_is_left_out_and_one_they_have_twice_is_the_first() -> None:
    times = read("sun 02:30")
    before = datetime(2027, 3, 27, tzinfo=UTC)
    skipped = times.find_free(before, [])
    assert skipped == datetime(2027, 4, 4, 2, 30, tzinfo=BERLIN)
    twice = times.find_free(datetime(2027, 10, 30, tzinfo=UTC), [])
    assert twice == datetime(2027, 10, 31, 0, 30, tzinfo=UTC)


@given(
    days=st.lists(st.lists(st.times(), max_size=3, unique=True), min_size=7, max_size=7),
    gap=st.integers(0, 600),
    most=st.none() | st.integers(1, 3),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/Santiago", "Pacific/Apia"]),
)
def test_twenty_takers_get_twenty_times_that_keep_every_rule(
    days: list[list[time]], gap: int, most: int | None, zone: str
) -> None:
    times = PostingTimes(
        zone=ZoneInfo(zone),
        days=[sorted(one.replace(second=0, microsecond=0) for one in day) for day in days],
        most_a_day=most,
        least_gap=timedelta(minutes=gap),
    )
    taken: list[datetime] = []
    for _ in range(20):
        found = times.find_free(MONDAY, taken)
        if found is None:
            return
        assert not times.is_close(found, taken)
        taken.append(found)
    for one in taken:
        local = one.astimezone(times.zone)
        assert local.time() in times.days[local.weekday()]
        assert most is None or sum(o.astimezone(times.zone).date() == local.date() for o in taken) <= most
