"""The page of numbers: lateness, throughput and failures of the last day and of the last month, from rollups.

The content of the page of numbers, computed from counts: a line a platform, failures by class, and a line a span.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from math import isinf
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from adapters.contract import Platform
from pipeline.dashboard.ledger import read
from pipeline.dashboard.page import page, parse_choice, parse_id
from pipeline.dashboard.render import format_duration, render
from pipeline.dashboard.visitor import Visitor
from pipeline.domain.account import Role
from pipeline.domain.delivery import State
from pipeline.domain.histogram import LATENESS_BOUNDS, estimate_quantile
from pipeline.store.rollups.settled_counts import (
    DAY,
    HOUR,
    LATENESS,
    Counting,
    SettledCount,
    find_start,
    list_settled,
    read_counting,
)


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
    """Return seconds as a user reads them; a dash for None."""
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


PATH = "/dashboard/numbers"


class Period(StrEnum):
    """The periods that the page shows."""

    DAY = "day"
    MONTH = "month"


class Spans(NamedTuple):
    """How a period is divided."""

    length: timedelta
    minutes: int
    name: str


PERIODS = {
    Period.DAY: Spans(timedelta(days=1), HOUR, "hour"),
    Period.MONTH: Spans(timedelta(days=30), DAY, "day"),
}


@page(Role.VIEWER)
async def show_numbers(request: Request, visitor: Visitor) -> Response:
    """Show the numbers of a period, of one workspace or all of the visitor's."""
    query = request.query_params
    period = parse_choice(Period, query.get("period"), "period") or Period.DAY
    chosen = parse_id(query.get("workspace"), "workspace")
    if chosen is not None:
        visitor.require(chosen, Role.VIEWER)
    spans, now = PERIODS[period], datetime.now(UTC)
    since = find_start(now - spans.length, spans.minutes)
    counts, counting = await read(request, _read, _choose(visitor, chosen), spans.minutes, since)
    return render(
        request,
        visitor,
        "numbers.html",
        numbers=compute_numbers(counts, list(Platform), since, now, spans.minutes),
        counting=counting,
        is_whole=counting.since is not None and counting.since <= since,
        period=period,
        periods=Period,
        span=spans.name,
        chosen=chosen,
        since=since,
        lateness=format_lateness,
    )


def _choose(visitor: Visitor, chosen: UUID | None) -> Collection[UUID] | None:
    """Return the workspaces to show; None: all there are."""
    if chosen is not None:
        return [chosen]
    return None if visitor.has_everywhere(Role.VIEWER) else visitor.workspaces(Role.VIEWER)


def _read(
    c: Connection, workspaces: Collection[UUID] | None, minutes: int, since: datetime
) -> tuple[Sequence[SettledCount], Counting]:
    return list_settled(c, workspaces, minutes, since), read_counting(c)


ROUTES = (Route("/numbers", show_numbers),)
