"""The HTTP application that ``slipway api`` serves: its routes, and the responses to their exceptions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import cache, partial
from typing import Any, cast

from fastapi import FastAPI
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from config.logging import list_secrets, set_up_logging
from config.settings import Settings, SettingsError, settings
from pipeline import wiring
from pipeline.api import events, health, webhooks
from pipeline.api.accounts import key, oauth_routes, posting_times
from pipeline.api.accounts import routes as accounts
from pipeline.api.files import download, part_uploads, upload
from pipeline.api.files import routes as files
from pipeline.api.http.envelope import render_http_error, render_refusal, render_unreachable
from pipeline.api.http.middleware import RequestMiddleware, note
from pipeline.api.http.refused_keys import record_refusal
from pipeline.api.http.request_metrics import FAST_PATH
from pipeline.api.imports import downloads as import_downloads
from pipeline.api.imports import routes as imports
from pipeline.api.imports import upload as import_upload
from pipeline.api.openapi.document import PARTNER, Document, describe
from pipeline.api.openapi.operation import PARTNER_API
from pipeline.api.operator import routes as operator
from pipeline.api.posts import action_routes, approval_routes, batch, export_routes, steer
from pipeline.api.posts import routes as posts
from pipeline.api.posts.schema import build_post_format
from pipeline.api.reference.routes import add_pages
from pipeline.api.state import build_app_state
from pipeline.dashboard.app import close_dashboard, create_dashboard, open_dashboard
from pipeline.dashboard.ledger import Receivers
from pipeline.dashboard.render import load_asset
from pipeline.runtime.interpreter import freeze_modules
from pipeline.runtime.tracing import start_tracing, stop_tracing
from pipeline.stages.post_request import Refusal
from pipeline.store.database import Unreachable

OPERATIONS = (
    *posts.routes,
    *batch.routes,
    *export_routes.routes,
    *action_routes.routes,
    *approval_routes.routes,
    *steer.routes,
    *import_upload.routes,
    *import_downloads.templates,  # before {import_id}
    *imports.routes,
    *import_downloads.routes,
    *webhooks.routes,
    *events.routes,
    *files.routes,
    *upload.routes,
    *download.routes,
    *accounts.routes,
    *key.routes,
    *posting_times.routes,
    *oauth_routes.routes,
    *health.routes,
    *operator.attention_routes,
    *operator.routes,
)
NO_TELEMETRY = dict.fromkeys(("tracing", "metrics", "logs", "operation_spans", "auto_configure"), False)
"""FastAPI's own would send queries of URLs and messages of errors, once a provider is set for the process."""


def register_segment(name: str, *verbs: str) -> None:
    """Let ``{…:name}`` in a path match any segment but *verbs*, which have routes of their own."""
    segment = type(name, (StringConvertor,), {"regex": f"(?!(?:{'|'.join(verbs)})$)[^/]+"})
    register_url_convertor(name, segment())


register_segment(
    "post", "batch", "export", "retry", "cancel", "delete", "validate", "steer", "approval-links"
)
register_segment("letter", "replay", "discard")
register_segment("import", "presets", r"template\.(?:csv|xlsx)")


Handler = Callable[[Request], Awaitable[Response]]


class FastPathApp(FastAPI):
    """A FastAPI application with some routes that bypass its middleware and router: a fast path for `POST /posts`.

    FastAPI wraps an endpoint in nine layers, which cost 40 of the 51 µs of CPU that a request with an empty handler
    takes (2026-11-27). The route is registered in FastAPI too: the OpenAPI document describes it there, and other
    spellings of the path are matched there.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._fast_paths: dict[tuple[str, str], ASGIApp] = {}

    def add_fast_path(self, method: str, path: str, handler: Handler) -> None:
        """Dispatch *method* at exactly *path* to *handler*."""
        self._fast_paths[method, path] = RequestMiddleware(_to_asgi(handler))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection, by a fast path if there is one."""
        app = self._fast_paths.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if app is None:
            await super().__call__(scope, receive, send)
            return
        scope["app"], scope[FAST_PATH] = self, scope["path"]
        await app(scope, receive, send)


def _to_asgi(handler: Handler) -> ASGIApp:
    """Wrap a handler as FastAPI would: build the request, send the response, turn refusals into responses."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await handler(request)
        except Refusal as error:
            response = await _respond_to_refusal(request, error)
        except Unreachable:
            response = render_unreachable()
        await response(scope, receive, send)

    return app


def create_app() -> FastAPI:
    """Build the application. It opens nothing before the server starts its lifespan."""
    dashboard = create_dashboard()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        context = wiring.build_api_context(settings())
        set_up_logging(context.settings.log, list_secrets(context.settings), in_batches=True)
        start_tracing(context.settings.tracing, "api")
        app.state.slipway = build_app_state(context)
        receivers = Receivers(
            table=partial(import_upload.receive_dropped, app.state.slipway),
            media=partial(upload.receive_dropped, app.state.slipway),
            create_upload=partial(part_uploads.create_part_upload, app.state.slipway),
            part=partial(part_uploads.receive_part, app.state.slipway),
        )
        open_dashboard(dashboard, context, receivers, build_post_format(context.settings))
        freeze_modules()
        try:
            async with _serve_mcp(app, context.settings):
                yield
        finally:
            await asyncio.to_thread(app.state.slipway.close)
            await asyncio.to_thread(close_dashboard, dashboard)
            await asyncio.to_thread(stop_tracing)
            context.database.close()

    app = FastPathApp(
        title=PARTNER.title,
        lifespan=lifespan,
        openapi_url=None,  # reference/routes.py shows the documents
        docs_url=None,  # FastAPI's page loads its script from a CDN; /reference replaces it
        redoc_url=None,
        telemetry=NO_TELEMETRY,
        redirect_slashes=False,  # some clients take the empty body of a redirect for a failure
    )
    app.state.query_names = {}
    for operation in OPERATIONS:
        operation.add_to(app)

    @cache
    def describe_once(document: Document) -> dict[str, Any]:
        return describe(app, document, OPERATIONS)

    app.openapi = partial(describe_once, PARTNER)  # type: ignore[method-assign]
    add_pages(app, describe_once)
    app.add_route("/favicon.ico", show_icon, include_in_schema=False)
    app.add_route("/dashboard", redirect_to_dashboard, include_in_schema=False)
    app.mount("/dashboard", dashboard)
    app.add_fast_path("POST", f"{PARTNER_API}/posts", posts.create_post)
    app.add_exception_handler(Refusal, _respond_to_refusal)
    app.add_exception_handler(Unreachable, _respond_to_unreachable)
    app.add_exception_handler(HTTPException, _respond_to_http_error)
    app.add_middleware(RequestMiddleware)
    return app


def _serve_mcp(app: FastAPI, s: Settings) -> AbstractAsyncContextManager[None]:
    """Serve /mcp while the block lasts, if it is on. Raises SettingsError without its extra."""
    if not s.mcp.enabled:
        return nullcontext()
    try:
        from pipeline.mcp.server import serve_http  # noqa: PLC0415  off costs nothing
    except ModuleNotFoundError as error:
        raise SettingsError(f"SLIPWAY_MCP__ENABLED needs slipway[mcp]: {error}.") from None
    return serve_http(app, s)


async def show_icon(_request: Request) -> Response:
    """Return the icon that browsers ask for by this name; its type says that it is SVG."""
    icon = load_asset("icon.svg")
    headers = {"Cache-Control": "public, max-age=86400"}
    return Response(icon.content, headers=headers, media_type=icon.media_type)


async def redirect_to_dashboard(_request: Request) -> Response:
    """Redirect to the first page of the dashboard."""
    return RedirectResponse("/dashboard/", 307)


async def _respond_to_refusal(request: Request, error: Exception) -> Response:
    refusal = cast("Refusal", error)
    note(request.scope, code=refusal.code)
    await record_refusal(request, refusal)
    return render_refusal(refusal)


async def _respond_to_unreachable(_request: Request, _error: Exception) -> Response:
    return render_unreachable()


async def _respond_to_http_error(request: Request, error: Exception) -> Response:
    error = cast("HTTPException", error)
    headers = {"Allow": ", ".join(_list_methods(request))} if error.status_code == 405 else error.headers  # noqa: PLR2004
    return render_http_error(request, error.status_code, headers)


def _list_methods(request: Request) -> list[str]:
    """Return the methods of every route at this path; the framework names only those of the first."""
    routes = [
        r
        for r in request.app.routes
        if isinstance(r, Route) and r.matches(request.scope)[0] is not Match.NONE
    ]
    return sorted({method for route in routes for method in route.methods or ()})


app = create_app()
