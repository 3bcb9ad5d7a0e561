"""What the page of numbers shows, computed from counts: a line a platform, failures by class, and a line a span."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isinf

from pipeline.dashboard.render import format_duration
from pipeline.domain.delivery import State
from pipeline.domain.histogram import LATENESS_BOUNDS, estimate_quantile
from pipeline.store.rollups.settled_counts import LATENESS, SettledCount, find_start


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """Totals of one platform, of one span, or of all."""

    published: int
    failed: int
    cancelled: int
    median: float | None
    """Seconds of lateness; None: nothing was sent."""
    p99: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Numbers:
    """A period. ``failures``: class of the error -> platform -> number."""

    platforms: Mapping[str, Line]
    total: Line
    spans: Mapping[datetime, Line]
    failures: Mapping[str, Counter[str]]


def compute_numbers(
    counts: Sequence[SettledCount], platforms: Sequence[str], since: datetime, until: datetime, minutes: int
) -> Numbers:
    """Return the numbers of a period; spans without a count are zero."""
    failures: dict[str, Counter[str]] = {}
    for one in counts:
        if one.kind == State.FAILED:
            failures.setdefault(one.label or "without a class", Counter())[one.platform] += one.n
    return Numbers(
        platforms={p: _add_up([one for one in counts if one.platform == p]) for p in platforms},
        total=_add_up(counts),
        spans={
            start: _add_up([one for one in counts if one.starts_at == start])
            for start in _list_starts(since, until, minutes)
        },
        failures=dict(sorted(failures.items(), key=lambda item: -item[1].total())),
    )


def format_lateness(seconds: float | None) -> str:
    """Return seconds as a person reads them; a dash for None."""
    if seconds is None:
        return "\N{EN DASH}"
    if isinf(seconds):
        return f"over {format_duration(timedelta(seconds=LATENESS_BOUNDS[-1]))}"
    return f"{seconds:.2f} s" if seconds < LATENESS_BOUNDS[8] else format_duration(timedelta(seconds=seconds))


def _add_up(counts: Sequence[SettledCount]) -> Line:
    kinds, lateness = Counter[str](), Counter[str]()
    for one in counts:
        if one.kind == LATENESS:
            lateness[one.label] += one.n
        else:
            kinds[one.kind] += one.n
    return Line(
        published=kinds[State.PUBLISHED],
        failed=kinds[State.FAILED],
        cancelled=kinds[State.CANCELLED],
        median=estimate_quantile(lateness, 0.5),
        p99=estimate_quantile(lateness, 0.99),
    )


def _list_starts(since: datetime, until: datetime, minutes: int) -> list[datetime]:
    step, start = timedelta(minutes=minutes), find_start(since, minutes)
    return [start + n * step for n in range((until - start) // step + 1)]
