"""The posting times of an account: the times of day at which it posts, and the next one that is free.

They are written ``mon-fri 09:00 18:00; sat 10:00`` in commands and files, and as a list of times by day in JSON.
"""

from __future__ import annotations

import re
from bisect import insort
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from pipeline.domain.time_zone import list_instants

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MOST_TIMES = 24
"""Times of one day."""
MOST_A_DAY = 100
"""The largest limit of a day."""
HORIZON = timedelta(days=366)
"""How far ahead a free time is looked for."""
LEAST_GAP = timedelta(hours=1)
"""The gap between two posts of an account that has none of its own."""
LONGEST_GAP = timedelta(days=7)
_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)", re.ASCII)
_USUAL = (time(9), time(12), time(18))


class InvalidPostingTimes(ValueError):
    """Posting times cannot be read. ``str()`` is a sentence with the rule and the value found; ``field`` its field."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, kw_only=True, slots=True)
class AutoTime:
    """A time to be found: the account's next free posting time. ``after``: not before it; None: from now on."""

    after: datetime | None = None

    def __str__(self) -> str:
        return AUTO if self.after is None else f"{AUTO} after {self.after.astimezone(UTC).isoformat()}"


AUTO = "auto"


@dataclass(frozen=True, kw_only=True, slots=True)
class PostingTimes:
    """The times of an account. ``days``: those of each weekday, Monday first, ascending."""

    zone: ZoneInfo
    days: Sequence[Sequence[time]] = (_USUAL,) * 7
    most_a_day: int | None = None
    """Posts on one day of the zone; None: as many as there are times."""
    least_gap: timedelta = LEAST_GAP

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any] | None, zone: str) -> PostingTimes:
        """Return the times that ``to_dict`` wrote. What is missing is usual; ``zone``: where none is stored."""
        given = stored or {}
        values: dict[str, Any] = {"zone": ZoneInfo(given.get("time_zone") or zone)}
        if "times" in given:
            values["days"] = tuple(tuple(map(parse_time, given["times"].get(day, ()))) for day in DAYS)
        if "most_a_day" in given:
            values["most_a_day"] = given["most_a_day"]
        return cls(**values, least_gap=read_least_gap(given))

    def to_dict(self) -> dict[str, Any]:
        """Return the times as JSON fields, all of them."""
        return {
            "time_zone": self.zone.key,
            "times": {day: [f"{at:%H:%M}" for at in self.days[n]] for n, day in enumerate(DAYS)},
            "most_a_day": self.most_a_day,
            "least_gap_minutes": self.least_gap // timedelta(minutes=1),
        }

    def find_free(self, after: datetime, taken: Collection[datetime]) -> datetime | None:
        """Return the first posting time later than *after* that no time in *taken* is too close to; None: no more.

        ``taken``: the due times of the account's posts from a day and a gap before *after* on.
        """
        for day in self._list_days(after):
            on_day = sum(one.astimezone(self.zone).date() == day for one in taken)
            if self.most_a_day is not None and on_day >= self.most_a_day:
                continue
            for at in self._list_times(day):
                if at > after and not self.is_close(at, taken):
                    return at
        return None

    def is_close(self, at: datetime, taken: Collection[datetime]) -> bool:
        """Return True if a post is due within the least gap of this time, or at it."""
        return any(one == at or abs(one - at) < self.least_gap for one in taken)

    def _list_days(self, after: datetime) -> Iterator[date]:
        first = after.astimezone(self.zone).date()
        return (first + timedelta(days=n) for n in range(HORIZON.days))

    def _list_times(self, day: date) -> Iterator[datetime]:
        """Yield the times of a day in UTC, without one that its clocks skip; one that they have twice is the first."""
        for at in self.days[day.weekday()]:
            if instants := list_instants(datetime.combine(day, at), self.zone):
                yield instants[0]


def read_least_gap(stored: Mapping[str, Any]) -> timedelta:
    """Return the least gap of what ``PostingTimes.to_dict`` wrote; the usual one if there is none."""
    minutes = stored.get("least_gap_minutes")
    return LEAST_GAP if minutes is None else timedelta(minutes=minutes)


def parse_time(text: str) -> time:
    """Return a time of day. Raises InvalidPostingTimes."""
    found = _TIME.fullmatch(text)
    if found is None:
        raise InvalidPostingTimes("times", f"{text[:20]!r} is no time of day such as 09:00 or 18:30.")
    return time(int(found[1]), int(found[2]))


def sort_times(day: str, texts: Sequence[str]) -> list[str]:
    """Return the times of a day in order, as HH:MM. Raises InvalidPostingTimes, also for a time that is there twice."""
    found: list[time] = []
    for at in map(parse_time, texts):
        if at in found:
            raise InvalidPostingTimes("times", f"{day} has {at:%H:%M} twice.")
        insort(found, at)
    if len(found) > MOST_TIMES:
        raise InvalidPostingTimes("times", f"{day} has {len(found)} times; {MOST_TIMES} at most.")
    return [f"{at:%H:%M}" for at in found]


def parse_times(text: str) -> dict[str, list[str]]:
    """Return the times by day of a text such as ``mon-fri 09:00 18:00; sat 10:00``. Raises InvalidPostingTimes."""
    found: dict[str, list[str]] = {}
    for part in filter(None, map(str.strip, text.split(";"))):
        named, *times = part.split()
        for day in _parse_days(named):
            if day in found:
                raise InvalidPostingTimes("times", f"{day} stands twice: give all of its times together.")
            found[day] = sort_times(day, times)
    if not found:
        raise InvalidPostingTimes("times", "It names no day: write mon-fri 09:00 18:00; sat 10:00.")
    return found


def _parse_days(text: str) -> Iterator[str]:
    """Yield the days of ``daily``, ``mon``, ``mon,wed`` and ``mon-fri``. Raises InvalidPostingTimes."""
    if text.casefold() == "daily":
        yield from DAYS
        return
    for part in text.split(","):
        first, dash, last = part.partition("-")
        start = _find_day(first)
        end = _find_day(last) if dash else start
        yield from (DAYS[(start + n) % 7] for n in range((end - start) % 7 + 1))


def _find_day(text: str) -> int:
    short = text.strip().casefold()
    for n, day in enumerate(DAYS):
        if len(short) >= 3 and day.startswith(short):  # noqa: PLR2004  letters that tell days apart
            return n
    raise InvalidPostingTimes(
        "times", f"{text[:20]!r} is no day such as mon, or days such as mon-fri or daily."
    )


def describe_times(times: PostingTimes) -> str:
    """Return the times as ``parse_times`` reads them, days with equal ones together."""
    alike: dict[tuple[time, ...], list[str]] = {}
    for n, day in enumerate(DAYS):
        if times.days[n]:
            alike.setdefault(tuple(times.days[n]), []).append(day[:3])
    parts = [f"{','.join(days)} {' '.join(f'{at:%H:%M}' for at in some)}" for some, days in alike.items()]
    return (
        "; ".join(parts)
        .replace("mon,tue,wed,thu,fri,sat,sun", "daily")
        .replace("mon,tue,wed,thu,fri", "mon-fri")
    )
