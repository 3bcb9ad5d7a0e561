"""The outermost middleware: request ids, CORS, responses to exceptions, the end of each body and its reservation.

Cross-origin requests of browsers (CORS): refused, except from the origins that a setting names.

Fetch standard, section 3.2 (fetch.spec.whatwg.org, read 2026-11-27). A key is sent in a header that scripts set, not by
the browser itself, so credentials mode is never allowed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import time
from collections.abc import Awaitable, Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from config.logging import log_event
from config.settings import settings
from pipeline.api.http.envelope import JsonResponse, render_internal_error, render_stopping
from pipeline.api.http.rate_limit import RATE_HEADERS
from pipeline.api.http.request import find_address, index_headers, release_reservation
from pipeline.api.http.request_metrics import CLIENT_LEFT, find_route, record_request
from pipeline.api.http.validation import IGNORED_HEADER, name_ignored
from pipeline.runtime.tracing import start_request

_PATHS = ("/api/partner/", "/openapi.json")
_EXPOSED = (
    b"ETag, Location, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, Retry-After, X-Ignored-Parameters, "
    b"X-Request-Id"
)
_ALLOWED = {"ok": True, "code": 200, "message": "Allowed", "data": {}}
"""The answer to a preflight. It is not empty, because some clients take an empty one for a failure."""
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD, POST, PATCH, PUT, DELETE",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, "
    "X-Request-Id",
    "Access-Control-Max-Age": "600",
}


def list_cors_headers(scope: Scope, origin: bytes) -> list[tuple[bytes, bytes]]:
    """Return the headers that let a page of *origin* read the response; none for other origins and paths."""
    if not scope["path"].startswith(_PATHS) or origin.decode("latin-1") not in _list_origins(scope["app"]):
        return []
    return [(b"access-control-allow-origin", origin), (b"access-control-expose-headers", _EXPOSED)]


def _list_origins(app: Any) -> Collection[str]:
    origins: Collection[str] = app.state.slipway.context.settings.api.origins
    return origins


log = logging.getLogger("slipway.api")

_HEADER, _TRACE_HEADER = b"x-request-id", b"traceparent"
REQUEST_ID = "slipway.request_id"
"""The key of the request id in a request's scope."""
ENDLESS = "slipway.endless"
"""A key of the scope, set for a response that ends when its reader leaves: its duration is the time to its start."""
NOTES, POSTS, REFUSED = "slipway.notes", "slipway.posts", "slipway.refused"
"""Keys of the scope: further fields of the request's line in the log; its posts, each with deliveries that it made, and
what it refused of them."""
DRAIN_BYTES = 16 * 1024**2
"""Bytes of an unread body that are read and discarded before an early response. Without it a client that is still
sending would see its connection reset instead of the response. The connection of a longer body is closed."""
DRAIN_SECONDS = 5.0
"""How long the rest of an unread body may take."""

BAD_REQUEST = 400

_TRACE_PARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)
"""W3C Trace Context, "traceparent" (2021-11-23)."""
_REQUEST_ID = re.compile(r"[A-Za-z0-9._~:/+=@-]{1,128}", re.ASCII)


class RequestMiddleware:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. An exception becomes a 500, unless a part of the response was sent already."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send)
        start, end_trace = time.perf_counter(), start_request(exchange.id, exchange.parent)
        try:
            await exchange.choose_app(self._app)(scope, exchange.receive, exchange.send)
        except asyncio.CancelledError:  # the server cancels requests only when its shutdown time is over
            if not exchange.has_started:
                await render_stopping()(scope, exchange.receive, exchange.send)
            raise
        except Exception:
            log.exception("request %s failed: %s %r", exchange.id, scope["method"], scope["path"])
            if exchange.has_started:
                raise  # part of the response was sent; the server closes the connection
            await render_internal_error(scope["method"], scope["path"])(
                scope, exchange.receive, exchange.send
            )
        finally:
            release_reservation(scope)
            end = exchange.started_at if scope.get(ENDLESS) else time.perf_counter()
            method, route = scope["method"], find_route(scope)
            record_request(method, route, exchange.status, end - start)
            end_trace(method, route, exchange.status)
            if method == "POST" or CLIENT_LEFT != exchange.status >= BAD_REQUEST:
                _log_request(scope, route, exchange)


def note(scope: Scope, **fields: object) -> None:
    """Add fields to the line that the log gets of this request: ids, names and codes, nothing that is private."""
    scope.setdefault(NOTES, {}).update(fields)


def note_posts(
    scope: Scope, posts: Mapping[UUID, Sequence[UUID]], refused: Sequence[Mapping[str, object]] = ()
) -> None:
    """Name the posts of this request in the log, a line each, with the deliveries that were made.

    *refused*: the position, code and status of each post of a batch that was refused.
    """
    scope.setdefault(POSTS, {}).update(posts)
    scope[REFUSED] = refused


def _log_request(scope: Scope, route: str, exchange: _Exchange) -> None:
    """Log a POST or a refusal: one line, or one for each of its posts. The path and the query are left out."""
    fields: dict[str, object] = {
        "method": scope["method"],
        "route": route,
        "status": exchange.status,
        "address": find_address(scope, settings().api.proxy_networks),
        **scope.get(NOTES, {}),
        "request_id": exchange.id,
    }
    log_event(log, logging.INFO, "request", fields, _list_ids(scope))
    if refused := scope.get(REFUSED):
        shared = {name: value for name, value in fields.items() if name not in refused[0]}
        log_event(log, logging.INFO, "refusal", shared, refused)


def _list_ids(scope: Scope) -> Sequence[Mapping[str, object]]:
    """Return the ids of post and deliveries for each post of the request, or else the ids in the path."""
    if posts := scope.get(POSTS):
        return [{"post": p, "delivery": ids} if ids else {"post": p} for p, ids in posts.items()]
    named = scope.get("path_params", {})
    return [{name: named[f"{name}_id"] for name in ("post", "delivery") if f"{name}_id" in named}]


class _Exchange:
    """One request and its response."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = index_headers(scope)
        self.parent = headers.get(_TRACE_HEADER, b"").decode("latin-1")
        self.id = scope[REQUEST_ID] = _choose_request_id(headers.get(_HEADER), self.parent)
        self.has_started, self.started_at = False, 0.0
        self.status = CLIENT_LEFT
        self._scope = scope
        origin = headers.get(b"origin")
        self._cors = [] if origin is None else list_cors_headers(scope, origin)
        asks = scope["method"] == "OPTIONS" and b"access-control-request-method" in headers
        self._is_preflight = bool(self._cors) and asks
        self._has_unread_body = (
            headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers
        )
        self._is_http_1 = scope["http_version"].startswith("1")  # HTTP/2 closes streams, not connections
        self._receive, self._send = receive, send

    def choose_app(self, app: ASGIApp) -> ASGIApp:
        """Return *app*, or for a preflight from an allowed origin its response."""
        return JsonResponse(_ALLOWED, 200, _PREFLIGHT) if self._is_preflight else app

    async def receive(self) -> Message:
        message = await self._receive()
        self._has_unread_body = message["type"] == "http.request" and message.get("more_body", False)
        return message

    def send(self, message: Message) -> Awaitable[None]:
        return self._start(message) if message["type"] == "http.response.start" else self._send(message)

    async def _start(self, message: Message) -> None:
        headers = [*message["headers"], (_HEADER, self.id.encode()), *self._cors]
        rate = self._scope.get(RATE_HEADERS)
        if rate and message["status"] != 429:  # noqa: PLR2004  which has the headers of the limit that refused
            headers.extend((name.lower().encode(), value.encode()) for name, value in rate.items())
        if self._scope["query_string"] and (ignored := self._name_ignored()):
            headers.append((IGNORED_HEADER, ignored))
        if self._has_unread_body and not await self._drain() and self._is_http_1:
            headers.append((b"connection", b"close"))
        self.has_started, self.status = True, message["status"]
        self.started_at = time.perf_counter()
        await self._send({**message, "headers": headers})

    def _name_ignored(self) -> bytes:
        route = self._scope.get("route")  # none on the fast path, whose operation has no parameters
        known = () if route is None else self._scope["app"].state.query_names.get(route.name)
        return b"" if known is None else name_ignored(self._scope["query_string"], known)

    async def _drain(self) -> bool:
        """Read the rest of the body, within the limits above. Return False if some of it is left."""
        read = 0
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                while self._has_unread_body and read < DRAIN_BYTES:
                    read += len((await self.receive()).get("body", b""))
        except TimeoutError:
            log.info("request %s: its body did not end within %.0f s and was cut off", self.id, DRAIN_SECONDS)
        return not self._has_unread_body


def _choose_request_id(given: bytes | None, parent: str) -> str:
    """Return the client's request id, the id of its trace, or a random one if it sent none that is safe to log."""
    name = given.decode("latin-1") if given else ""
    if name and _REQUEST_ID.fullmatch(name):
        return name
    trace = _TRACE_PARENT.fullmatch(parent) if parent else None
    return os.urandom(16).hex() if trace is None else trace[1]
