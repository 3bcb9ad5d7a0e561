"""The time zone of a page, and the days of its calendar as spans of time, with days of 23 and 25 hours."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import Response

from pipeline.imports.local_time import InvalidCell, find_zone
from pipeline.stages.post_request import Refusal
from pipeline.store.dashboard.calendar import Span

ZONE_COOKIE = "slipway-zone"
"""Set by the pages' script to the browser's zone, unless the visitor has chosen another."""
_YEAR = 365 * 24 * 60 * 60
_HOUR = timedelta(hours=1)


def find_page_zone(request: Request) -> ZoneInfo:
    """Return the zone that the query chooses, else that of the browser, else UTC. Raises Refusal 400."""
    asked = request.query_params.get("zone")
    try:
        return find_zone(asked or request.cookies.get(ZONE_COOKIE) or "UTC")
    except InvalidCell as error:
        if not asked:
            return ZoneInfo("UTC")
        raise Refusal(400, "validation_failed", f"zone: {error}") from None


def keep_zone(request: Request, response: Response, zone: ZoneInfo) -> None:
    """Let the browser keep a zone that the query chooses."""
    if request.query_params.get("zone"):
        response.set_cookie(ZONE_COOKIE, zone.key, max_age=_YEAR, path="/dashboard", samesite="lax")


def split_days(first: date, days: int, zone: ZoneInfo) -> list[Span]:
    """Return the spans of this many days from *first* on, from midnight to midnight in the zone."""
    ends = [_find_midnight(first + timedelta(days=n), zone) for n in range(days + 1)]
    return list(pairwise(ends))


def split_hours(spans: Sequence[Span]) -> list[Span]:
    """Return the hours of the spans; the last of a span is shorter where the span ends within it."""
    return [
        (start + n * _HOUR, min(start + (n + 1) * _HOUR, end))
        for start, end in spans
        for n in range(-((start - end) // _HOUR))
    ]


def format_offset(instant: datetime, zone: ZoneInfo) -> str:
    """Return the offset of a zone at an instant, such as ``+05:30``."""
    return instant.astimezone(zone).isoformat()[-6:]


def format_wall_time(instant: datetime, zone: ZoneInfo) -> str:
    """Return what clocks of the zone show at an instant, to the second, such as ``2026-11-27T09:00:00``."""
    return instant.astimezone(zone).replace(tzinfo=None).isoformat(timespec="seconds")


def _find_midnight(day: date, zone: ZoneInfo) -> datetime:
    """Return when a day begins; where clocks skip midnight, when they do so."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
