"""The first page: everything that needs a person, the same list as ``slipway attention``."""

from __future__ import annotations

from datetime import timedelta

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipeline.actions.attention import list_attention
from pipeline.dashboard.ledger import get_state, read
from pipeline.dashboard.page import page
from pipeline.dashboard.render import render
from pipeline.dashboard.visitor import Visitor
from pipeline.domain.role import Role


@page(Role.VIEWER)
async def show_attention(request: Request, visitor: Visitor) -> Response:
    """List what needs a person, in all workspaces, to visitors who see all of them."""
    silent = timedelta(seconds=get_state(request).context.settings.worker.silent)
    items = await read(request, list_attention, silent) if visitor.has_everywhere(Role.VIEWER) else ()
    return render(request, visitor, "attention.html", items=items)


ROUTES = (Route("/", show_attention),)
