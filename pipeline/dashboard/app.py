"""The dashboard's application: its pages, their security headers, and pages for errors.

It is mounted at ``/dashboard`` by the API's application, which serves it in the same processes.

Entries of the navigation.
"""

from __future__ import annotations

from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.dashboard import (
    accounts,
    approval_links,
    approval_queue,
    approvals,
    attention,
    calendar,
    client_month,
    clients,
    compose,
    decide,
    events,
    fill,
    history,
    imports,
    jobs,
    keys,
    login,
    notices,
    now,
    numbers,
    pauses,
    people,
    post,
    post_actions,
    posting_times,
    queue,
    second_factor,
    sign_on,
    steer,
    thumbnails,
    uploads,
    webhooks,
)
from pipeline.dashboard.ledger import Receivers, build_dashboard_state
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


PAGES: tuple[tuple[Entry | None, tuple[Route, ...]], ...] = (
    (Entry(title="Attention", path="/dashboard/", icon="triangle-alert"), attention.ROUTES),
    (Entry(title="Queue", path=queue.PATH, icon="menu"), queue.ROUTES + steer.ROUTES + jobs.ROUTES),
    (Entry(title="Calendar", path="/dashboard/calendar", icon="calendar"), calendar.ROUTES + fill.ROUTES),
    (
        Entry(title="Approval", path=approval_queue.PATH, icon="circle-check"),
        approval_queue.ROUTES + approval_links.ROUTES,
    ),
    (Entry(title="Imports", path=imports.PATH, icon="upload"), imports.ROUTES),
    (Entry(title="Accounts", path=accounts.PATH, icon="users"), accounts.ROUTES + posting_times.ROUTES),
    (Entry(title="Numbers", path=numbers.PATH, icon="chart-column"), numbers.ROUTES + client_month.ROUTES),
    (Entry(title="History", path=history.PATH, icon="history"), history.ROUTES),
    (
        Entry(title="Settings", path="/dashboard/settings", icon="settings", also=login.PATH),
        people.ROUTES + keys.ROUTES + second_factor.ROUTES + login.ROUTES + sign_on.ROUTES,
    ),
    (
        None,
        (*post.ROUTES, *post_actions.ROUTES, *decide.ROUTES, *pauses.ROUTES, *now.ROUTES),
    ),
    (None, compose.ROUTES + uploads.ROUTES),
    (None, webhooks.ROUTES + notices.ROUTES + clients.ROUTES),
    (None, events.ROUTES + thumbnails.ROUTES + approvals.LINK_ROUTES),
)
"""The entry of each page in the navigation, in its order, and the page's routes."""

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
    """Build the application. It opens nothing before `open_dashboard`."""
    routes = [Route("/static/{digest}/{name:path}", send_asset), *(r for _, own in PAGES for r in own)]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(SecurityHeaders)],
        exception_handlers={HTTPException: _respond_to_http_error},
    )
    app.router.redirect_slashes = False
    app.state.navigation = [entry for entry, _ in PAGES if entry is not None]
    app.state.query_names = {}  # pages ignore query parameters they do not know, without saying so
    return app


def open_dashboard(app: Starlette, context: Context, receivers: Receivers, posts: PostFormat) -> None:
    """Give the application the context it works with, and how the API receives files and reads posts."""
    app.state.dashboard = build_dashboard_state(context, receivers, posts)


def close_dashboard(app: Starlette) -> None:
    """Finish the work in progress."""
    app.state.dashboard.close()


async def _respond_to_http_error(request: Request, error: Exception) -> Response:
    return render_error(request, error)
