"""Reads the time of a row: a time with an offset, the word ``now``, or a local time that is exactly one instant."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from pipeline.domain.validation_issue import build_issue, find_near
from pipeline.imports.columns import LOCAL_TIME, SCHEDULED_AT, TIME_ZONE

NOW = "now"
"""The time of a post that is published as soon as it is imported."""
NO_TIME = "It has no time. Fill scheduled_at, or local_time and time_zone; write now to publish at once."
_TIME = r"(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d))?"
_ISO = re.compile(rf"(?P<year>\d{{4}})-(?P<month>\d{{1,2}})-(?P<day>\d{{1,2}})(?:[Tt ]+{_TIME})?", re.ASCII)
_GERMAN = re.compile(
    rf"(?P<day>\d{{1,2}})\.(?P<month>\d{{1,2}})\.(?P<year>\d{{4}})(?:,? +{_TIME}(?: +Uhr)?)?", re.ASCII
)
_OFFSET = re.compile(r"(?:[Zz]|[+-]\d{2}(?::?\d{2})?)$", re.ASCII)
_EXAMPLES = "2026-12-01 09:00 or 01.12.2026 09:00"


class InvalidCell(ValueError):
    """A cell cannot be read. ``str()`` is a sentence for its author; ``name`` its column, if it is another's fault."""

    def __init__(self, message: str, kind: str, value: Any = ..., name: str = "") -> None:
        super().__init__(message)
        self._kind, self._value, self._name = kind, value, name

    def build_issue(self, name: str) -> dict[str, Any]:
        """Return the issue of the column that was read."""
        return build_issue((self._name or name,), str(self), self._kind, self._value)


class AmbiguousTime(InvalidCell):
    """A local time that its zone has twice. ``instants``: both, earlier first, with the offsets of the zone."""

    def __init__(self, message: str, text: str, instants: Sequence[datetime]) -> None:
        super().__init__(message, "datetime_parsing", text, LOCAL_TIME)
        self.instants = instants


def read_time(cells: Mapping[str, str], time_zone: str | None) -> str | None:
    """Return the time of a row as POST takes it, None for `NOW`. Raises InvalidCell, also for a row without a time.

    ``time_zone``: of a local time in a row without one.
    """
    instant, local, zone = (cells.get(name, "").strip() for name in (SCHEDULED_AT, LOCAL_TIME, TIME_ZONE))
    if instant and local:
        raise InvalidCell("Fill scheduled_at or local_time, not both.", "exclusive", local, LOCAL_TIME)
    if not instant and not local:
        raise InvalidCell(NO_TIME, "missing")
    if (instant or local).casefold() == NOW:
        return None
    if local:
        return _parse_local_time(local, zone or time_zone or "").isoformat().replace("+00:00", "Z")
    if not _OFFSET.search(instant):
        message = "The time has no offset. End it with Z or an offset such as +02:00, or fill local_time."
        raise InvalidCell(message, "datetime_parsing", instant)
    return instant


def _parse_local_time(text: str, zone_name: str) -> datetime:
    """Return the instant in UTC. Raises InvalidCell, also for a time that its zone skips or has twice."""
    zone = find_zone(zone_name)
    try:
        local = _parse(text)
        instants = {local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
        instants = {one for one in instants if one.astimezone(zone).replace(tzinfo=None, fold=0) == local}
    except (ValueError, OverflowError) as error:
        message = str(error) if isinstance(error, _NotATime) else "There is no such date or time."
        raise InvalidCell(message, "datetime_parsing", text, LOCAL_TIME) from None
    if len(instants) == 1:
        return instants.pop()
    if not instants:
        message = f"{local:%Y-%m-%d %H:%M} does not exist in {zone.key}: clocks skip it."
        raise InvalidCell(message, "datetime_parsing", text, LOCAL_TIME)
    both = [one.astimezone(zone) for one in sorted(instants)]
    choices = " or ".join(one.isoformat() for one in both)
    message = (
        f"{local:%Y-%m-%d %H:%M} exists twice in {zone.key}: clocks go back. Fill scheduled_at: {choices}."
    )
    raise AmbiguousTime(message, text, both)


class _NotATime(ValueError):
    """The text has not the form of a local time."""


def _parse(text: str) -> datetime:
    shape = _ISO.fullmatch(text) or _GERMAN.fullmatch(text)
    if shape is None and _OFFSET.search(text):
        raise _NotATime("A local time has no offset. Fill scheduled_at instead.")
    if shape is None:
        raise _NotATime(f"Not a date and time, such as {_EXAMPLES}.")
    if shape["hour"] is None:
        raise _NotATime(f"It has no time of day. Write it as {_EXAMPLES}; midnight as 00:00.")
    return datetime(**{name: int(value) for name, value in shape.groupdict(default="0").items()})  # type: ignore[arg-type]  # noqa: DTZ001


@lru_cache(maxsize=1024)
def find_zone(name: str) -> ZoneInfo:
    """Return the time zone of this name, in any case. Raises InvalidCell that names the nearest."""
    if not name:
        raise InvalidCell("local_time needs a time zone, such as Europe/Berlin.", "missing", name=TIME_ZONE)
    zones = list_zones()
    if key := zones.get(name.casefold()):
        return ZoneInfo(key)
    near = find_near(name, zones)
    hint = f"; did you mean {zones[near]}?" if near else ", such as Europe/Berlin."
    raise InvalidCell(f"There is no such time zone{hint}", "time_zone", name, TIME_ZONE)


@lru_cache(maxsize=1)
def list_zones() -> Mapping[str, str]:
    """Return the names of all time zones, by their lower-case form."""
    return {name.casefold(): name for name in available_timezones()}
