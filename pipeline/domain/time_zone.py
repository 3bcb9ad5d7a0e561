"""Time zones by their IANA names, and the instants that their clocks show as a local time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from pipeline.domain.validation_issue import find_near


class UnknownZone(ValueError):
    """There is no time zone of this name. ``str()`` is a sentence that names the nearest."""


@lru_cache(maxsize=1024)
def find_zone(name: str) -> ZoneInfo:
    """Return the time zone of this name, in any case. Raises UnknownZone."""
    zones = list_zones()
    if key := zones.get(name.casefold()):
        return ZoneInfo(key)
    near = find_near(name, zones)
    hint = f"; did you mean {zones[near]}?" if near else ", such as Europe/Berlin."
    raise UnknownZone(f"There is no such time zone{hint}")


@lru_cache(maxsize=1)
def list_zones() -> Mapping[str, str]:
    """Return the names of all time zones, by their lower-case form."""
    return {name.casefold(): name for name in available_timezones() | {"UTC"}}


def list_instants(local: datetime, zone: ZoneInfo) -> list[datetime]:
    """Return the instants in UTC that a zone's clocks show as a local time: one; none or two where they are changed."""
    both = {local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
    return sorted(one for one in both if one.astimezone(zone).replace(tzinfo=None, fold=0) == local)
