"""The settings: a menu of lists, of which a visitor sees those that their role may change."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from pipeline.dashboard import login, people
from pipeline.dashboard.page import page
from pipeline.dashboard.visitor import Visitor
from pipeline.domain.account import Role

PATH = "/dashboard/settings"


@page(Role.VIEWER)
async def show_settings(request: Request, visitor: Visitor) -> Response:  # noqa: ARG001  as all pages
    """Lead to the first list that the visitor may see."""
    return RedirectResponse(people.PATH if visitor.is_admin else login.PATH, 303)


ROUTES = (Route("/settings", show_settings),)
