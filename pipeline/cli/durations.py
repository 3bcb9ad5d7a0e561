"""Lengths of time as options take them: `30m`, `24h`, `90d`; and moments as an ISO 8601 time or so far away."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import click

from pipeline.api.http import timestamp

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


def until_now(text: str) -> datetime:
    """The same, or `now`, and nothing that is still to come. Raises BadParameter."""
    now = datetime.now(UTC)
    found = now if text == "now" else past(text)
    if found > now:
        raise click.BadParameter(f"{text} is still to come.")
    return found


SPAN, MOMENT, PAST, UNTIL_NOW = span, moment, past, until_now
"""As ``type=`` of an option."""
