"""The first page: everything that needs a person, the same list as ``slipway attention``, with what deals with each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipeline.actions.attention import AttentionItem, list_attention
from pipeline.dashboard.attention_links import AT_THE_SERVER, TITLES, list_links
from pipeline.dashboard.ledger import get_state, read
from pipeline.dashboard.page import HOME, page
from pipeline.dashboard.queue_filter import get_within
from pipeline.dashboard.render import render
from pipeline.dashboard.visitor import Visitor
from pipeline.domain.role import Role
from pipeline.store.dashboard.walks import Within
from pipeline.store.health import database_now


def _read(c: Connection, silent: timedelta, within: Within) -> tuple[datetime, Sequence[AttentionItem]]:
    """Return the list and the clock that its times are by."""
    return database_now(c), list_attention(c, silent, within)


@page(Role.VIEWER)
async def show_attention(request: Request, visitor: Visitor) -> Response:
    """List what needs a person in the visitor's workspaces."""
    silent = timedelta(seconds=get_state(request).context.settings.worker.silent)
    now, items = await read(request, _read, silent, get_within(visitor, Role.VIEWER))
    return render(
        request,
        visitor,
        "attention.html",
        items=[
            (
                item,
                TITLES[item.matter.kind],
                [link for link in list_links(item.matter, now) if visitor.has(link.role)],
                item.command if item.matter.kind in AT_THE_SERVER else "",
                now - item.matter.oldest if item.matter.oldest else None,
            )
            for item in items
        ],
        here=HOME,
    )


ROUTES = (Route("/", show_attention),)
