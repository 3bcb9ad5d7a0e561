"""Types of options for durations (`30m`, `24h`, `90d`), points in time (ISO 8601, or a duration from now) and spans."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from pipeline.api.http.timestamp import InvalidTimestamp, parse

_DURATION = re.compile(r"(\d{1,6})([smhdw])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
LONGEST = timedelta(days=36_500)


def _parse_duration(text: str) -> timedelta:
    """A whole number and s, m, h, d or w. Raises BadParameter."""
    match = _DURATION.fullmatch(text)
    found = LONGEST if match is None else timedelta(**{_UNITS[match[2]]: int(match[1])})
    if found >= LONGEST:
        raise click.BadParameter(f"{text!r} is not a duration such as 30m, 24h or 90d.")
    return found


def _parse_future(text: str) -> datetime:
    """A time after now, in UTC. Raises BadParameter."""
    now = datetime.now(UTC)
    try:
        found = now + _parse_duration(text) if _DURATION.fullmatch(text) else parse(text)
    except InvalidTimestamp as error:
        raise click.BadParameter(f"{text!r}: {error} Or give a duration from now: 90d.") from None
    if found <= now:
        raise click.BadParameter(f"{text} is in the past.")
    return found


def _parse_future_or_now(text: str) -> datetime | str:
    """As `_parse_future`; the word `now` is returned as it is. Raises BadParameter."""
    return text if text == "now" else _parse_future(text)


def _parse_past(text: str) -> datetime:
    """A time, or a duration before now, in UTC. Raises BadParameter."""
    try:
        return datetime.now(UTC) - _parse_duration(text) if _DURATION.fullmatch(text) else parse(text)
    except InvalidTimestamp as error:
        raise click.BadParameter(f"{text!r}: {error} Or give a duration before now: 30d.") from None


def _parse_past_or_now(text: str) -> datetime:
    """As `_parse_past`, or `now`; a time in the future is refused. Raises BadParameter."""
    now = datetime.now(UTC)
    found = now if text == "now" else _parse_past(text)
    if found > now:
        raise click.BadParameter(f"{text} is in the future.")
    return found


def _parse_span(text: str) -> tuple[datetime | None, datetime | None]:
    """A day in UTC, or FROM..TO, where either may be empty. Raises BadParameter."""
    start, dots, end = text.partition("..")
    if dots:
        span = _parse_bound(start, text), _parse_bound(end, text)
    else:
        day = _parse_day(text)
        span = day, day + timedelta(days=1)
    if span == (None, None) or (span[0] and span[1] and span[0] >= span[1]):
        raise click.BadParameter(f"{text!r} is empty: give FROM..TO, where FROM is earlier.")
    return span


def _parse_bound(text: str, span: str) -> datetime | None:
    now, signed = datetime.now(UTC), text.removeprefix("-")
    if not text or text == "now":
        return now if text else None
    if _DURATION.fullmatch(signed):
        length = _parse_duration(signed)
        return now - length if text != signed else now + length
    try:
        return parse(text)
    except InvalidTimestamp as error:
        raise click.BadParameter(f"{span!r}: {error} Or give a duration from now: -2h..7d.") from None


def _parse_day(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is not a day such as 2027-01-31, nor a span such as -2h..now."
        ) from None


class Parsed(click.ParamType[object]):
    """An option's type: a name for --help and a function that parses."""

    def __init__(self, name: str, parse: Callable[[str], object]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> object:  # noqa: ARG002 - click's signature
        """Parse the text. Raises BadParameter."""
        return self._parse(value)


DURATION = Parsed("duration", _parse_duration)
FUTURE = Parsed("when", _parse_future)
FUTURE_OR_NOW = Parsed("when", _parse_future_or_now)
SPAN = Parsed("span", _parse_span)
PAST = Parsed("when", _parse_past)
PAST_OR_NOW = Parsed("when", _parse_past_or_now)
