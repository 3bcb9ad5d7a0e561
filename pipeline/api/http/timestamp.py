"""Timestamps in requests and responses: ISO 8601, always with an offset."""

from __future__ import annotations

import re
from datetime import UTC, datetime

FIRST_YEAR, LAST_YEAR = 2000, 2100
"""A year outside this range is a mistake, such as milliseconds read as seconds or a Buddhist calendar."""

# RFC 3339 section 5.6, with a space for the T as its note allows, and +0200 without a colon as in ISO 8601.
_SHAPE = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?(?P<offset>[Zz]|[+-]\d{2}(?::?\d{2})?)?",
    re.ASCII,
)


class InvalidTimestamp(ValueError):
    """The text is not a timestamp. ``str()`` is a sentence for its author."""


def parse(text: str) -> datetime:
    """Return the time in UTC. Raises InvalidTimestamp."""
    shape = _SHAPE.fullmatch(text)
    if shape is None:
        raise InvalidTimestamp("Not an ISO 8601 date and time, such as 2027-02-01T15:00:00Z.")
    if shape["offset"] is None:
        raise InvalidTimestamp("The time has no offset. End it with Z or an offset such as +02:00.")
    try:
        instant = datetime.fromisoformat(text.upper().replace(",", ".")).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidTimestamp("There is no such date or time.") from None
    if not FIRST_YEAR <= instant.year < LAST_YEAR:
        raise InvalidTimestamp(f"The year must be {FIRST_YEAR} to {LAST_YEAR - 1}.")
    return instant


def format_timestamp(instant: datetime | None) -> str | None:
    """Format a time as in every response: UTC, milliseconds, Z."""
    if instant is None:
        return None
    m = instant.astimezone(UTC)
    return _FORMAT % (m.year, m.month, m.day, m.hour, m.minute, m.second, m.microsecond // 1000)


_FORMAT = "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ"
"""Twice as fast as ``isoformat``, which a page of posts calls five hundred times (measured)."""
