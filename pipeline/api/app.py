"""The HTTP server (``slipway api``): routes, and what becomes of their exceptions."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from fastapi import FastAPI
from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Match, Route

from config.logging import secrets_of, set_up
from pipeline import wiring
from pipeline.api import health
from pipeline.api.accounts import connect
from pipeline.api.accounts import routes as accounts
from pipeline.api.files import router as files_routes
from pipeline.api.files.schema import FileBody
from pipeline.api.http.envelope import away, refused, unrouted
from pipeline.api.http.middleware import Edge
from pipeline.api.openapi import actions as reference_steering
from pipeline.api.openapi import document as reference
from pipeline.api.openapi import page as reference_page
from pipeline.api.operator import dead_letters as operator_dead_letters
from pipeline.api.posts import action_routes as steering
from pipeline.api.posts import routes as posts
from pipeline.api.server.fast_path import ShortWay
from pipeline.api.state import site
from pipeline.context import Context
from pipeline.stages.post_request import Refusal
from pipeline.store.database import Unreachable

BASE = "/api/partner/v1"
YOUNG = 50_000
"""Objects made between two looks for garbage: a request makes hundreds, and hardly ever a ring of them."""


class PostSegment(Convertor[str]):
    """The part of an address that names a post: whatever is there, but not a verb that has an address of its own."""

    regex = "(?!(?:retry|cancel|delete|validate)$)[^/]+"

    def convert(self, value: str) -> str:
        """As it stands: whether it is an id is the handler's question."""
        return value

    def to_string(self, value: str) -> str:
        """As it stands."""
        return value


register_url_convertor("post", PostSegment())


def create_app(context: Context | None = None) -> FastAPI:
    """The application around a core; without one, this process's own is built when the server starts."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        own = context or wiring.context()
        if context is None:
            set_up(own.settings.log, secrets_of(own.settings))
        app.state.site = site(own)
        if context is None:
            gc.freeze()  # what is there now stays: looking through it for garbage would hold up all for 80 ms a second
            gc.set_threshold(YOUNG)
        try:
            yield
        finally:
            await asyncio.to_thread(app.state.site.close)
            if context is None:
                own.database.close()

    app = ShortWay(
        title="Slipway Partner API",
        version="1",
        description="One post, six platforms, once each, on time.",
        lifespan=lifespan,
        docs_url=None,  # FastAPI's page loads its script from a CDN; ours stands at /reference
        redoc_url=None,
        redirect_slashes=False,  # a redirect has an empty body, which known clients take for a failure
    )
    app.openapi = lambda: reference.describe(app, (*reference_steering.BODIES, FileBody))  # type: ignore[method-assign]
    _route(app)
    app.short("POST", f"{BASE}/posts", posts.create)
    operator_dead_letters.route(app)
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(Unreachable, _away)
    app.add_exception_handler(HTTPException, _unrouted)
    app.add_middleware(Edge)
    return app


def _route(app: FastAPI) -> None:
    add = app.add_api_route
    add(
        f"{BASE}/posts",
        posts.create,
        methods=["POST"],
        status_code=201,
        responses=reference.CREATE,
        openapi_extra=reference.CREATE_EXTRA,
        operation_id="createPost",
    )
    add(
        f"{BASE}/posts",
        posts.index,
        methods=["GET"],
        responses=reference.LIST,
        openapi_extra=reference.LIST_EXTRA,
        operation_id="listPosts",
    )
    add(
        f"{BASE}/posts/{{post_id:post}}",
        posts.show,
        methods=["GET"],
        responses=reference.SHOW,
        openapi_extra=reference.SHOW_EXTRA,
        operation_id="getPost",
    )
    _route_steering(app)
    files_routes.route(app, BASE)
    add(
        f"{BASE}/accounts",
        accounts.index,
        methods=["GET"],
        responses=reference.ACCOUNTS,
        openapi_extra=reference.READ_EXTRA,
        operation_id="listAccounts",
    )
    add(
        f"{BASE}/subscription",
        accounts.subscription,
        methods=["GET"],
        responses=reference.SUBSCRIPTION,
        openapi_extra=reference.READ_EXTRA,
        operation_id="getSubscription",
    )
    add(
        f"{BASE}/connect/{{platform}}",
        connect.begin,
        methods=["POST"],
        status_code=201,
        responses=reference.CONNECT,
        openapi_extra=reference.CONNECT_EXTRA,
        operation_id="connectAccount",
    )
    add(
        f"{BASE}/connect/{{platform}}/callback",
        connect.callback,
        methods=["GET"],
        response_class=HTMLResponse,
        responses=reference.CALLBACK,
        openapi_extra=reference.CALLBACK_EXTRA,
        operation_id="connectCallback",
    )
    add(
        f"{BASE}/connect/{{platform}}/choice",
        connect.choose,
        methods=["POST"],
        response_class=HTMLResponse,
        responses=reference.CHOICE,
        openapi_extra=reference.CHOICE_EXTRA,
        operation_id="connectChoice",
    )
    add(  # TikTok for Business takes only addresses that end in a slash
        f"{BASE}/connect/{{platform}}/callback/",
        connect.callback,
        methods=["GET"],
        response_class=HTMLResponse,
        include_in_schema=False,
    )
    app.add_route("/reference", reference_page.show, include_in_schema=False)
    add("/healthz", health.healthz, methods=["GET"], responses=reference.ALIVE, operation_id="healthz")
    add("/readyz", health.readyz, methods=["GET"], responses=reference.READY, operation_id="readyz")
    add("/metrics", health.metrics, methods=["GET"], responses=reference.METRICS, operation_id="metrics")


def _route_steering(app: FastAPI) -> None:
    add, told = app.add_api_route, reference_steering
    add(
        f"{BASE}/posts/{{post_id:post}}",
        steering.update,
        methods=["PATCH"],
        responses=told.UPDATE,
        openapi_extra=told.UPDATE_EXTRA,
        operation_id="updatePost",
    )
    add(
        f"{BASE}/posts/retry",
        steering.retry,
        methods=["POST"],
        responses=told.RETRY,
        openapi_extra=told.RETRY_EXTRA,
        operation_id="retryPosts",
    )
    add(
        f"{BASE}/posts/cancel",
        steering.cancel,
        methods=["POST"],
        responses=told.CANCEL,
        openapi_extra=told.CANCEL_EXTRA,
        operation_id="cancelPosts",
    )
    add(
        f"{BASE}/posts/delete",
        steering.delete,
        methods=["POST"],
        responses=told.DELETE,
        openapi_extra=told.DELETE_EXTRA,
        operation_id="deletePosts",
    )
    add(
        f"{BASE}/posts/validate",
        steering.check,
        methods=["POST"],
        responses=told.VALIDATE,
        openapi_extra=told.VALIDATE_EXTRA,
        operation_id="validatePost",
    )


async def _refused(_request: Request, error: Exception) -> Response:
    return refused(cast("Refusal", error))


async def _away(_request: Request, _error: Exception) -> Response:
    return away()


async def _unrouted(request: Request, error: Exception) -> Response:
    error = cast("HTTPException", error)
    headers = {"Allow": ", ".join(_allowed(request))} if error.status_code == 405 else error.headers  # noqa: PLR2004
    return unrouted(request, error.status_code, headers)


def _allowed(request: Request) -> list[str]:
    """The methods of every route at this address; the framework names only those of the first."""
    routes = [
        r
        for r in request.app.routes
        if isinstance(r, Route) and r.matches(request.scope)[0] is not Match.NONE
    ]
    return sorted({method for route in routes for method in route.methods or ()})


app = create_app()
