"""The sidebar's counts: what goes out now and in the next hour, what is late, failed today, and needs somebody."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from pipeline.actions.attention import AttentionItem, read_attention
from pipeline.dashboard.clock import find_page_zone, keep_zone
from pipeline.dashboard.filter import MOST, build_when, get_within
from pipeline.dashboard.ledger import get_state, read
from pipeline.dashboard.page import page
from pipeline.dashboard.render import render
from pipeline.dashboard.visitor import Visitor
from pipeline.domain.account import Role
from pipeline.domain.attention import Kind
from pipeline.domain.time_zone import UnknownZone, find_zone
from pipeline.store.attention import ROWS
from pipeline.store.deliveries.queue import Within
from pipeline.store.deliveries.queue_posts import count_queued_posts
from pipeline.store.deliveries.selection import ListFilter
from pipeline.store.health import database_now
from pipeline.store.posts.approvals import count_waiting

_TIMES = {
    "now": ("Going out now", ""),
    "hour": ("Next hour", ""),
    "late": ("Late", "amber"),
    "failed": ("Failed today", "red"),
}
"""Name of the filter -> its label and colour."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NowCount:
    """One line. ``name``: of the filter that it leads to."""

    name: str
    label: str
    colour: str
    number: int
    is_capped: bool


@page("/now", Role.VIEWER)
async def show_now(request: Request, visitor: Visitor) -> Response:
    """Show the counts of the visitor's workspaces, for the sidebar."""
    silent = timedelta(seconds=get_state(request).context.settings.worker.silent)
    zone, within = find_page_zone(request), get_within(visitor, Role.VIEWER)
    shown = await read(request, _read, silent, within, zone)
    return render(request, "now.html", most=MOST, **shown)


@page("/clock", Role.VIEWER, "POST")
async def set_clock(request: Request, _visitor: Visitor) -> Response:
    """Choose the zone of the session's clock. Raises HTTPException 400."""
    try:
        zone = find_zone(str(request.state.form.get("zone", "")))
    except UnknownZone as error:
        raise HTTPException(400, f"zone: {error}") from None
    response = RedirectResponse("/dashboard/sessions", 303)
    keep_zone(response, zone)
    return response


def count_now(
    c: Connection, within: Within, zone: ZoneInfo, names: Sequence[str] = tuple(_TIMES)
) -> Mapping[str, NowCount]:
    """Return how many posts each of these filters selects in these workspaces, by name."""
    now = database_now(c)
    return {
        name: NowCount(
            name=name, label=label, colour=colour, number=min(number, MOST), is_capped=number > MOST
        )
        for name, (label, colour) in _TIMES.items()
        if name in names
        for number in [count_queued_posts(c, ListFilter(**build_when(name, now, zone)), within, most=MOST)]
    }


def list_items(c: Connection, silent: timedelta, within: Within) -> tuple[list[AttentionItem], bool]:
    """Return what needs somebody in these workspaces, line by line, and whether there may be more.

    Pauses, which were made on purpose, need nobody.
    """
    listed = read_attention(c, silent, within, by_account=True)
    found = [one for one in listed if one.matter.kind is not Kind.PAUSED]
    return found, ROWS in Counter(one.matter.kind for one in found).values()


def _read(c: Connection, silent: timedelta, within: Within, zone: ZoneInfo) -> dict[str, Any]:
    items, has_more = list_items(c, silent, within)
    waiting = count_waiting(c, within, sent_back=False, most=MOST)
    counts = [*count_now(c, within, zone).values()]
    return {"counts": counts, "matters": len(items), "has_more": has_more, "waiting": waiting}
