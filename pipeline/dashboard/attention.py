"""The first page: everything that needs a person, the same list as ``slipway attention``, with what deals with each."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipeline.actions.attention import list_attention
from pipeline.dashboard.attention_links import AT_THE_SERVER, TITLES, list_links
from pipeline.dashboard.ledger import get_state, read
from pipeline.dashboard.page import HOME, page
from pipeline.dashboard.queue_filter import get_within
from pipeline.dashboard.render import render
from pipeline.dashboard.visitor import Visitor
from pipeline.domain.role import Role


@page(Role.VIEWER)
async def show_attention(request: Request, visitor: Visitor) -> Response:
    """List what needs a person in the visitor's workspaces."""
    silent = timedelta(seconds=get_state(request).context.settings.worker.silent)
    items = await read(request, list_attention, silent, get_within(visitor, Role.VIEWER))
    now = datetime.now(UTC)
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
