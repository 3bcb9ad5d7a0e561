"""The page of numbers: lateness, throughput and failures of the last day and of the last month, from rollups."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from adapters.contract import Platform
from pipeline.dashboard.fields import parse_choice, parse_id
from pipeline.dashboard.ledger import read
from pipeline.dashboard.numbers_view import compute_numbers, format_lateness
from pipeline.dashboard.page import page
from pipeline.dashboard.render import render
from pipeline.dashboard.visitor import Visitor
from pipeline.domain.role import Role
from pipeline.store.rollups.settled_counts import (
    DAY,
    HOUR,
    Counting,
    SettledCount,
    find_start,
    list_settled,
    read_counting,
)

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
