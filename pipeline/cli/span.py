"""Lengths of time as options take them: `30m`, `24h`, `90d`; and moments as an ISO 8601 time or so far away."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import click

from pipeline.api import timestamp

_SHAPE = re.compile(r"(\d{1,6})([smhdw])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
LONGEST = timedelta(days=36_500)


def span(text: str) -> timedelta:
    """A whole number and s, m, h, d or w. Raises BadParameter."""
    shape = _SHAPE.fullmatch(text)
    found = LONGEST if shape is None else timedelta(**{_UNITS[shape[2]]: int(shape[1])})
    if found >= LONGEST:
        raise click.BadParameter(f"{text!r} is no length of time such as 30m, 24h or 90d.")
    return found


def moment(text: str) -> datetime:
    """A time to come, in UTC. Raises BadParameter."""
    now = datetime.now(UTC)
    try:
        found = now + span(text) if _SHAPE.fullmatch(text) else timestamp.read(text)
    except timestamp.NotATime as error:
        raise click.BadParameter(f"{text!r}: {error} Or say how far from now: 90d.") from None
    if found <= now:
        raise click.BadParameter(f"{text} is in the past.")
    return found


def past(text: str) -> datetime:
    """A time gone by, in UTC. Raises BadParameter."""
    try:
        return datetime.now(UTC) - span(text) if _SHAPE.fullmatch(text) else timestamp.read(text)
    except timestamp.NotATime as error:
        raise click.BadParameter(f"{text!r}: {error} Or say how long ago: 30d.") from None


SPAN, MOMENT, PAST = span, moment, past
"""As ``type=`` of an option."""
