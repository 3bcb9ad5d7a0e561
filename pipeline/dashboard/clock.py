"""The one clock of a session: the time zone of its pages, and times as they are shown and typed in it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import Response

from pipeline.domain.time_zone import UnknownZone, find_zone
from pipeline.store.posts.calendar import Span

ZONE_COOKIE = "slipway-zone"
"""Set by the pages' script to the browser's zone, unless the visitor has chosen another."""
_YEAR = 365 * 24 * 60 * 60
_HOUR = timedelta(hours=1)


def find_page_zone(request: Request) -> ZoneInfo:
    """Return the zone of the session's clock: the chosen one, else that of the browser, else UTC."""
    try:
        return find_zone(request.cookies.get(ZONE_COOKIE) or "UTC")
    except UnknownZone:
        return ZoneInfo("UTC")


def keep_zone(response: Response, zone: ZoneInfo) -> None:
    """Let the browser keep a zone that the visitor chose."""
    response.set_cookie(ZONE_COOKIE, zone.key, max_age=_YEAR, path="/dashboard", samesite="lax")


def format_moment(instant: datetime, zone: ZoneInfo, now: datetime, *, to_second: bool = False) -> str:
    """Return the time in the zone: ``09:30`` today, ``Sun 29 Nov, 09:30`` this year, else with the year."""
    local, today = instant.astimezone(zone), now.astimezone(zone)
    time = local.strftime("%H:%M:%S" if to_second else "%H:%M")
    return time if local.date() == today.date() else f"{format_day(local.date(), today.date())}, {time}"


def format_day(day: date, today: date) -> str:
    """Return ``Sun 29 Nov``, with the year unless it is this one."""
    return f"{day:%a} {day.day} {day:%b}{'' if day.year == today.year else f' {day.year}'}"


def format_offset(instant: datetime, zone: ZoneInfo) -> str:
    """Return the offset of a zone at an instant, such as ``+05:30``."""
    return instant.astimezone(zone).isoformat()[-6:]


def format_wall_time(instant: datetime, zone: ZoneInfo) -> str:
    """Return the wall time of the zone at an instant, to the second, such as ``2026-11-27T09:00:00``."""
    return instant.astimezone(zone).replace(tzinfo=None).isoformat(timespec="seconds")


def find_midnight(day: date, zone: ZoneInfo) -> datetime:
    """Return when a day begins; where clocks skip midnight, when they do so."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def split_days(first: date, days: int, zone: ZoneInfo) -> list[Span]:
    """Return the spans of this many days from *first* on, from midnight to midnight in the zone."""
    return list(pairwise(find_midnight(first + timedelta(days=n), zone) for n in range(days + 1)))


def split_hours(spans: Sequence[Span]) -> list[Span]:
    """Return the hours of the spans; the last of a span is shorter where the span ends within it."""
    return [
        (start + n * _HOUR, min(start + (n + 1) * _HOUR, end))
        for start, end in spans
        for n in range(-((start - end) // _HOUR))
    ]
