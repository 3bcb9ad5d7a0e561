"""Activity: the deliveries that wait, are worked on and settle at each platform, and how long each queue is silent.

The statements of /metrics read it. Counts of waiting deliveries and lateness are as old as the export of moves.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from adapters.contract import Platform
from pipeline.broker.queues import ALL_QUEUES
from pipeline.domain.delivery import State
from pipeline.domain.histogram import LATENESS_BOUNDS
from pipeline.domain.hold import Hold
from pipeline.store.canaries import read_silences
from pipeline.store.counters import gauges
from pipeline.store.counters.counters import DELIVERIES, LATENESS, Counter, read_counters

BOUNDS = (*map(str, LATENESS_BOUNDS), "+Inf")
LATE_SHARE = 0.95
Buckets = Mapping[str, float]
"""Upper bound in seconds -> deliveries that were late by at most that, and by more than the bound before."""

_WAITING = {State.ACCEPTED: Hold.CHECKING.value, State.SCHEDULED: "scheduled", State.RETRYING: gauges.RETRY}
"""States in which a delivery waits -> the reason, where no hold is stored."""
_IN_WORK = frozenset({State.QUEUED, State.PUBLISHING, State.PREPARING, State.PROCESSING})


@dataclass(kw_only=True, slots=True)
class PlatformActivity:
    """Deliveries of one platform: ``waiting`` and ``overdue`` by their hold, ``settled`` by outcome."""

    waiting: Tally[str] = field(default_factory=Tally)
    in_work: int = 0
    unknown: int = 0
    blocked: int = 0
    overdue: Mapping[str, int] = field(default_factory=dict)
    oldest_overdue: float = 0
    """Seconds; pauses and limits, whose delay is intended, left out."""
    settled: Mapping[str, int] = field(default_factory=dict)
    """In the last minute."""
    lateness: Buckets = field(default_factory=dict)
    """Since counting began."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Activity:
    """The activity of all platforms, and of each queue the seconds since a message was taken; None: never."""

    platforms: Mapping[str, PlatformActivity]
    queues: Mapping[str, float | None]
    count_age: float
    """Seconds since which moves are not counted."""


def read_activity(c: Connection) -> Activity:
    """Read the activity. Raises Unreachable."""
    platforms = {platform.value: PlatformActivity() for platform in Platform}
    _add_counters(platforms, read_counters(c))
    _add_overdue(platforms, gauges.list_overdue(c))
    settled = gauges.count_settled_lately(c)
    for name, one in platforms.items():
        one.settled = {outcome: n for (platform, outcome), n in settled.items() if platform == name}
    silences = read_silences(c)
    queues = {q: silences[q].total_seconds() if q in silences else None for q in ALL_QUEUES}
    return Activity(platforms=platforms, queues=queues, count_age=gauges.read_count_age(c))


def _add_counters(platforms: Mapping[str, PlatformActivity], found: Iterable[Counter]) -> None:
    """Add the deliveries by state, and the lateness; counters that only a newer version knows are left out."""
    for counter in found:
        one = platforms.get(counter.labels.get("platform", ""))
        if one is None:
            continue
        if counter.name == DELIVERIES:
            _add_state(one, counter.labels["state"], counter.labels["reason"], int(counter.value))
        elif counter.name == f"{LATENESS}_bucket":
            one.lateness = {**one.lateness, counter.labels["le"]: counter.value}


def _add_state(one: PlatformActivity, state: str, reason: str, n: int) -> None:
    if state in _WAITING and n > 0:
        one.waiting[reason or _WAITING[State(state)]] += n
    elif state in _IN_WORK:
        one.in_work += n
    elif state == State.UNKNOWN:
        one.unknown += n
    elif state == State.BLOCKED:
        one.blocked += n


def _add_overdue(platforms: Mapping[str, PlatformActivity], found: Sequence[gauges.Overdue]) -> None:
    oldest = gauges.find_oldest_overdue(found)
    for name, one in platforms.items():
        one.overdue = {o.held_for or "in work": o.number for o in found if o.platform == name}
        one.oldest_overdue = oldest[name]


def find_lateness(now: Buckets, before: Buckets) -> str | None:
    """Return the bound within which 95 % of the deliveries sent between two readings were late; None: none was sent."""
    sent = {bound: now.get(bound, 0) - before.get(bound, 0) for bound in BOUNDS}
    total, kept = sum(sent.values()), 0.0
    for bound, n in sent.items():
        kept += n
        if total > 0 and kept >= LATE_SHARE * total:
            return bound
    return None
