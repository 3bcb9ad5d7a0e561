"""A client's month: what went out, when and how late, and what failed and why, as a page to print and as CSV.

A post stands in the month in which it is due by the session's clock, with all of its accounts.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple
from urllib.parse import quote
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from pipeline.dashboard import numbers
from pipeline.dashboard.clock import find_midnight, find_page_zone
from pipeline.dashboard.icons import name_platform
from pipeline.dashboard.ledger import read
from pipeline.dashboard.page import find_client, page
from pipeline.dashboard.post import find_link
from pipeline.dashboard.render import render
from pipeline.dashboard.visitor import Visitor
from pipeline.dashboard.words import name_state, quote_platform
from pipeline.domain.account import Role
from pipeline.domain.delivery import State
from pipeline.imports.cells import defuse
from pipeline.imports.export import PAGE, UTF_8_MARK, write_rows
from pipeline.store.deliveries.queue import Place
from pipeline.store.deliveries.queue_posts import list_queued_posts
from pipeline.store.deliveries.selection import ListFilter
from pipeline.store.posts.views import DeliveryView, PostView, read_posts

MOST = 5_000
"""Accounts of posts that the page shows; the CSV has all."""
_COLUMNS = ["Due", "Words", "Platform", "Account", "State", "Went live", "Seconds late", "Link", "Why not"]


class Month(NamedTuple):
    """What is asked for: the posts of a client that are due in a month, by a clock."""

    client: UUID
    zone: ZoneInfo
    first: date
    chosen: ListFilter


class Row(NamedTuple):
    """One account of a post. ``late``: from its time to when it was seen live; ``why``: it is not live."""

    post: PostView
    one: DeliveryView
    late: timedelta | None
    why: str


@page("/numbers/month", Role.VIEWER)
async def show_month(request: Request, visitor: Visitor) -> Response:
    """Show the month, with its totals on top."""
    month = _read_month(request, visitor)
    found, is_cut = await read(request, list_month, month)
    prompt = [row.late <= timedelta(seconds=numbers.MINUTE) for row in found if row.late is not None]
    return render(
        request,
        "client_month.html",
        month=month,
        others=[month.first - timedelta(days=1), month.first + timedelta(days=31)],
        found=found,
        is_cut=is_cut,
        prompt=numbers.format_share(sum(prompt) / len(prompt) if prompt else None),
        link=numbers.link_queue,
        find_link=find_link,
    )


@page("/numbers/month.csv", Role.VIEWER)
async def export_month(request: Request, visitor: Visitor) -> Response:
    """Write the month as CSV, page by page at the browser's speed."""
    month = _read_month(request, visitor)
    start = await read(request, list_page, month)

    async def stream() -> AsyncIterator[bytes]:
        found, after = start
        yield UTF_8_MARK + write_rows([_COLUMNS, *_to_cells(found, month.zone)])
        while after is not None:
            found, after = await read(request, list_page, month, after)
            yield write_rows(_to_cells(found, month.zone))

    name = quote(f"{visitor.names[month.client]} {month.first:%Y-%m}.csv", safe="")
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{name}"}
    return StreamingResponse(stream(), headers=headers, media_type="text/csv")


def _read_month(request: Request, visitor: Visitor) -> Month:
    """Return the month that is asked for, else the present one. Raises HTTPException 400, and 404 for another's."""
    query, zone = request.query_params, find_page_zone(request)
    if (client := find_client(visitor, query.get("client"), "client")) is None:
        raise HTTPException(400, "client is missing: choose one on the page of numbers.")
    text = query.get("month") or f"{datetime.now(zone):%Y-%m}"
    if not re.fullmatch(r"2[01]\d\d-(0[1-9]|1[0-2])", text, re.ASCII):
        raise HTTPException(400, f"month has to be one such as 2026-11: {text[:50]!r} is not.")
    first = date.fromisoformat(f"{text}-01")
    since, until = (find_midnight(day.replace(day=1), zone) for day in (first, first + timedelta(days=31)))
    return Month(client, zone, first, ListFilter(workspace=client, due_from=since, due_until=until))


def list_month(c: Connection, month: Month) -> tuple[Sequence[Row], bool]:
    """Return the accounts of the month's posts in the order of their time, ``MOST`` at most; True: there are more."""
    found, after = list_page(c, month)
    while after is not None and len(found) <= MOST:
        more, after = list_page(c, month, after)
        found += more
    return found[:MOST], after is not None or len(found) > MOST


def list_page(c: Connection, month: Month, after: Place | None = None) -> tuple[list[Row], Place | None]:
    """Return a page of the month, and where the next one begins; None at the end."""
    listed = list_queued_posts(c, month.chosen, [month.client], limit=PAGE, after=after)
    posts = sorted(read_posts(c, month.client, listed.posts), key=lambda one: (one.due_at, one.id))
    found = [_build_row(post, one) for post in posts for one in post.deliveries if not one.removed]
    return found, listed.after


def _build_row(post: PostView, one: DeliveryView) -> Row:
    error = one.error if one.error and one.state not in {State.PUBLISHED, State.CANCELLED} else {}
    words = error.get("platform_message")
    late = max(one.published_at - one.due_at, timedelta(0)) if one.published_at else None
    return Row(post, one, late, quote_platform(one.platform, words) if words else error.get("message") or "")


def _to_cells(found: Sequence[Row], zone: ZoneInfo) -> Iterator[list[str]]:
    for post, one, late, why in found:
        times = [at and at.astimezone(zone) for at in (one.due_at, one.published_at)]
        due, live = (at.isoformat(" ", "seconds") if at else "" for at in times)
        seconds = "" if late is None else f"{late.total_seconds():.0f}"
        what = due, post.caption, name_platform(one.platform), one.username, name_state(one).label
        yield [defuse(cell) for cell in (*what, live, seconds, one.url or "", why)]
