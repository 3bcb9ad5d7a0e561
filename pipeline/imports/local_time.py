"""Reads the time of a row: a time with an offset, the word ``now``, or a local time that is exactly one instant."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from pipeline.domain.posting_times import AUTO
from pipeline.domain.time_zone import UnknownZone, find_zone, list_instants
from pipeline.domain.validation_issue import build_issue
from pipeline.imports.columns import DATE, LOCAL_TIME, SCHEDULED_AT, TIME, TIME_ZONE, Columns, FileProblem

NOW = "now"
"""The time of a post that is published as soon as it is imported."""
NO_TIME = (
    "It has no time. Fill scheduled_at, or local_time and time_zone; write now to publish at once, or auto for the "
    "next free posting time."
)
ORDERS: Mapping[str, str] = {"dmy": "day/month/year", "mdy": "month/day/year", "ymd": "year/month/day"}
"""The orders in which a date may have its parts."""
_DAY = r"(?P<a>\d{1,4})(?P<sign>[-./])(?P<b>\d{1,2})(?P=sign)(?P<c>\d{1,4})"
_CLOCK = (
    r"(?P<hour>\d{1,2})(?::(?P<minute>\d\d)(?::(?P<second>\d\d)(?:\.\d+)?)?(?: *Uhr)?|(?= *[ap]))"
    r"(?: *(?P<half>[ap])\.?m\.?)?"
)
_WALL_TIME = re.compile(rf"{_DAY}(?:(?:[Tt]|,? +){_CLOCK})?", re.ASCII | re.IGNORECASE)
_SERIAL = re.compile(r"[1-9]\d{4}(?:[.,]\d{1,15})?", re.ASCII)
_FRACTION = re.compile(r"0?[.,]\d{1,15}", re.ASCII)
_EPOCH = datetime(1899, 12, 30)  # noqa: DTZ001  no zone
"""Day 0 of the numbers that spreadsheets have for times after February 1900 (ECMA-376, part 1, 18.17.4.1)."""
_MIDNIGHT = re.compile(r"[T ]0?0:00(?::00)?$")
_OFFSET = re.compile(r"(?:[Zz]|[+-]\d{2}(?::?\d{2})?)$", re.ASCII)
_EXAMPLES = "2026-12-01 09:00, 01.12.2026 09:00 or 12/1/2026 9:00 AM"


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


def read_time(
    cells: Mapping[str, str], time_zone: str | None, order: str = "", blank: str = ""
) -> str | None:
    """Return the time of a row as POST takes it, None for `NOW`. Raises InvalidCell, also for a row without a time.

    ``time_zone``: of a local time in a row without one. ``order``: of the dates of its file, as in `ORDERS`; "" where
    none of them needs it. ``blank``: the time of a row without one.
    """
    instant, zone = (cells.get(name, "").strip() for name in (SCHEDULED_AT, TIME_ZONE))
    local = _find_local_time(cells)
    if instant and local:
        raise InvalidCell("Fill scheduled_at or local_time, not both.", "exclusive", local, LOCAL_TIME)
    if not instant and not local:
        if blank:
            return blank
        raise InvalidCell(NO_TIME, "missing")
    if (instant or local).casefold() == NOW:
        return None
    if (instant or local).casefold().split()[0] == AUTO:
        return re.sub(
            "^auto( after )?", lambda found: found[0].casefold(), instant or local, flags=re.IGNORECASE
        )
    if local:
        instant = _parse_local_time(local, zone or time_zone or "", order).isoformat()
        return instant.replace("+00:00", "Z")
    if not _OFFSET.search(instant):
        message = "The time has no offset. End it with Z or an offset such as +02:00, or fill local_time."
        raise InvalidCell(message, "datetime_parsing", instant)
    return instant


def _find_local_time(cells: Mapping[str, str]) -> str:
    """Return the local time of a row: of one column, or of one for the date and one for the time of day."""
    local, date, time = (cells.get(name, "").strip() for name in (LOCAL_TIME, DATE, TIME))
    if local and (date or time):
        raise InvalidCell("Fill local_time, or date and time, not both.", "exclusive", local, LOCAL_TIME)
    if time and not date:
        raise InvalidCell("It has a time and no date.", "missing", name=DATE)
    if not time:
        return local or date
    if _SERIAL.fullmatch(date):
        date = f"{_read_serial(date):%Y-%m-%d}"
    if _FRACTION.fullmatch(time):
        time = f"{_read_serial(time):%H:%M:%S}"
    return f"{_MIDNIGHT.sub('', date)} {time}"


def _parse_local_time(text: str, zone_name: str, order: str) -> datetime:
    """Return the instant in UTC. Raises InvalidCell, also for a time that its zone skips or has twice."""
    zone = require_zone(zone_name)
    try:
        local = _parse(text, order)
        instants = list_instants(local, zone)
    except (ValueError, OverflowError) as error:
        message = str(error) if isinstance(error, _NotATime) else "There is no such date or time."
        raise InvalidCell(message, "datetime_parsing", text, LOCAL_TIME) from None
    if len(instants) == 1:
        return instants[0]
    if not instants:
        message = f"{local:%Y-%m-%d %H:%M} does not exist in {zone.key}: clocks skip it."
        raise InvalidCell(message, "datetime_parsing", text, LOCAL_TIME)
    both = [one.astimezone(zone) for one in instants]
    choices = " or ".join(one.isoformat() for one in both)
    message = (
        f"{local:%Y-%m-%d %H:%M} exists twice in {zone.key}: clocks go back. Fill scheduled_at: {choices}."
    )
    raise AmbiguousTime(message, text, both)


class _NotATime(ValueError):
    """The text has not the form of a local time."""


def _parse(text: str, order: str) -> datetime:
    if _SERIAL.fullmatch(text):
        return _read_serial(text)
    shape = _WALL_TIME.fullmatch(text)
    if shape is None and _OFFSET.search(text):
        raise _NotATime("A local time has no offset. Fill scheduled_at instead.")
    if shape is None:
        raise _NotATime(f"Not a date and time, such as {_EXAMPLES}.")
    if shape["hour"] is None:
        raise _NotATime(f"It has no time of day. Write it as {_EXAMPLES}; midnight as 00:00.")
    forms = _list_forms(shape)
    if order not in forms and len(forms) > 1:
        raise _NotATime(
            f"It may be read as {' or '.join(ORDERS[one] for one in forms)}. Write the year first."
        )
    hour, half = int(shape["hour"]), shape["half"]
    if half is not None:
        if not 1 <= hour <= 12:  # noqa: PLR2004  hours of half a day
            raise _NotATime("With AM or PM the hour is 1 to 12.")
        hour = hour % 12 + 12 * (half in "pP")
    day = _read_day(shape, order if order in forms else forms[0])
    return day.replace(hour=hour, minute=int(shape["minute"] or 0), second=int(shape["second"] or 0))


def _read_serial(text: str) -> datetime:
    """Return the time of a number of days, to the nearest second."""
    return _EPOCH + timedelta(seconds=round(float(text.replace(",", ".")) * 86_400))


def _list_forms(shape: re.Match[str]) -> Sequence[str]:
    """Return the orders that the form of a date leaves: a year of four digits has its place, and after dots a month."""
    if len(shape["a"]) > 2:  # noqa: PLR2004  digits of a day
        return ("ymd",)
    if shape["sign"] == ".":
        return ("dmy",)
    return ("dmy", "mdy") if len(shape["c"]) > 2 else tuple(ORDERS)  # noqa: PLR2004


def _read_day(shape: re.Match[str], order: str) -> datetime:
    """Return the day of a date in this order. Raises ValueError if there is none."""
    parts = dict(zip(order, (shape["a"], shape["b"], shape["c"]), strict=True))
    century = {2: 2000, 4: 0}.get(len(parts["y"]))
    if century is None:
        raise ValueError("A year has two digits or four.")
    return datetime(century + int(parts["y"]), int(parts["m"]), int(parts["d"]))  # noqa: DTZ001


class DateSurvey:
    """Determines the order of the dates of a file from all of them: one that admits only one order decides for all."""

    def __init__(self, columns: Columns, header: Sequence[str]) -> None:
        self._places = [n for n, cell in enumerate(header, 1) if columns.find(cell) in (LOCAL_TIME, DATE)]
        self._left = frozenset(ORDERS)
        self._first: dict[frozenset[str], tuple[int, str]] = {}

    def add(self, row: Sequence[Any]) -> None:
        """Take the dates of a staged row. Texts that are none are for their rows to refuse."""
        for place in self._places:
            text = str(row[place]).strip() if place < len(row) else ""
            shape = _WALL_TIME.fullmatch(text)
            forms = ("ymd",) if shape is None else _list_forms(shape)
            orders = frozenset(one for one in forms if shape is not None and _is_day(shape, one))
            if orders and forms != ("ymd",):
                self._left &= orders
                self._first.setdefault(orders, (int(row[0]), text))

    def choose(self) -> str:
        """Return the order; "" without a date that needs one. Raises FileProblem if they leave none, or several."""
        if not self._first or len(self._left) == 1:
            return next(iter(self._left)) if self._first else ""
        shown = [
            f"{text!r} in line {line} is {_describe_readings(text, orders)}"
            for orders, (line, text) in self._first.items()
        ]
        if not self._left:
            raise FileProblem(f"The dates have different orders: {'; '.join(shown)}. Write the year first.")
        message = f"The order of the dates cannot be told: {shown[0]}. Say which: dates is dmy, mdy or ymd."
        raise FileProblem(message)


def _describe_readings(text: str, orders: Collection[str]) -> str:
    """Return what a date may mean: ``1 December 2026 (day/month/year) or 12 January 2026 (month/day/year)``."""
    shape = _WALL_TIME.fullmatch(text)
    found = [(one, _read_day(shape, one)) for one in ORDERS if one in orders] if shape else []
    return " or ".join(f"{day.day} {day:%B %Y} ({ORDERS[one]})" for one, day in found)


def _is_day(shape: re.Match[str], order: str) -> bool:
    try:
        return bool(_read_day(shape, order))
    except ValueError:
        return False


def require_zone(name: str) -> ZoneInfo:
    """Return the time zone of this name, in any case. Raises InvalidCell."""
    if not name:
        raise InvalidCell("local_time needs a time zone, such as Europe/Berlin.", "missing", name=TIME_ZONE)
    try:
        return find_zone(name)
    except UnknownZone as error:
        raise InvalidCell(str(error), "time_zone", name, TIME_ZONE) from None
