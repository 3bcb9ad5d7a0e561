"""Times as they stand in requests and answers: ISO 8601, never without an offset."""

from __future__ import annotations

import re
from datetime import UTC, datetime

FIRST_YEAR, LAST_YEAR = 2000, 2100
"""Years outside are typing errors (a millisecond count read as seconds, a Buddhist calendar), not plans."""

# RFC 3339 section 5.6, with a blank for the T as its note allows, and +0200 as ISO 8601 writes it without a colon.
_SHAPE = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?(?P<offset>[Zz]|[+-]\d{2}(?::?\d{2})?)?",
    re.ASCII,
)


class NotATime(ValueError):
    """Not a moment in time; ``str()`` is a sentence for whoever wrote it."""


def read(text: str) -> datetime:
    """The moment a text names, in UTC. Raises NotATime."""
    shape = _SHAPE.fullmatch(text)
    if shape is None:
        raise NotATime("Not an ISO 8601 date and time, such as 2027-02-01T15:00:00Z.")
    if shape["offset"] is None:
        raise NotATime(
            "The time has no offset, so it does not say when: end it with Z or an offset such as +02:00."
        )
    try:
        moment = datetime.fromisoformat(text.upper().replace(",", ".")).astimezone(UTC)
    except (ValueError, OverflowError):
        raise NotATime("There is no such date or time.") from None
    if not FIRST_YEAR <= moment.year < LAST_YEAR:
        raise NotATime(f"The year must be {FIRST_YEAR} to {LAST_YEAR - 1}.")
    return moment


def written(moment: datetime | None) -> str | None:
    """A moment as every answer writes it: UTC, milliseconds, Z."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
