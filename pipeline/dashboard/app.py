"""The dashboard's application: its pages, their security headers, and pages for errors.

It is mounted at ``/dashboard`` by the API's application, which serves it in the same processes.

Entries of the navigation.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline import dashboard
from pipeline.dashboard.ledger import DashboardState, Receivers
from pipeline.dashboard.page import ROUTES
from pipeline.dashboard.render import render_error, send_asset
from pipeline.domain.account import Role
from pipeline.imports.validate import PostFormat
from pipeline.runtime.context import Context


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A page that the navigation leads to, for visitors with its role somewhere."""

    title: str
    path: str
    icon: str
    role: Role = Role.VIEWER
    also: str = ""
    """Pages with this beginning are below it, too."""


NAVIGATION = (
    Entry(title="Attention", path="/dashboard/", icon="triangle-alert"),
    Entry(title="Queue", path="/dashboard/queue", icon="menu"),
    Entry(title="Calendar", path="/dashboard/calendar", icon="calendar"),
    Entry(title="Approval", path="/dashboard/approval", icon="circle-check"),
    Entry(title="Imports", path="/dashboard/imports", icon="upload"),
    Entry(title="Accounts", path="/dashboard/accounts", icon="users"),
    Entry(title="Numbers", path="/dashboard/numbers", icon="chart-column"),
    Entry(title="History", path="/dashboard/history", icon="history"),
    Entry(title="Settings", path="/dashboard/settings", icon="settings", also="/dashboard/sessions"),
)

SECURITY_HEADERS = {
    # uploads and thumbnails of ours only: an image from a URL that a customer gave would tell that host who looks
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "media-src 'self'; font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with no-referrer, browsers send forms with "Origin: null"
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cache-Control": "no-store",
}
"""The headers of each response, unless it has its own value."""


class SecurityHeaders:
    """ASGI middleware that adds `SECURITY_HEADERS`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)


def create_dashboard() -> Starlette:
    """Build the application of all pages in this folder. It opens nothing before `open_dashboard`."""
    for module in iter_modules(dashboard.__path__, f"{dashboard.__name__}."):
        import_module(module.name)
    # what is named by a part of its path does not hide what has a fixed name there
    pages = sorted(ROUTES, key=lambda route: len(route.param_convertors))
    app = Starlette(
        routes=[Route("/static/{digest}/{name:path}", send_asset), *pages],
        middleware=[Middleware(SecurityHeaders)],
        exception_handlers={HTTPException: _respond_to_http_error},
    )
    app.router.redirect_slashes = False
    app.state.navigation = NAVIGATION
    app.state.query_names = {}  # pages ignore query parameters they do not know, without saying so
    return app


def open_dashboard(app: Starlette, context: Context, receivers: Receivers, posts: PostFormat) -> None:
    """Give the application the context it works with, and how the API receives files and reads posts."""
    app.state.dashboard = DashboardState(context, receivers, posts)


def close_dashboard(app: Starlette) -> None:
    """Finish the work in progress."""
    app.state.dashboard.close()


async def _respond_to_http_error(request: Request, error: Exception) -> Response:
    return render_error(request, error)
