"""Cross-origin requests of browsers (CORS): refused, except from the origins that a setting names.

Fetch standard, section 3.2 (fetch.spec.whatwg.org, read 2026-11-27). A key is sent in a header that scripts set, not by
the browser itself, so credentials mode is never allowed.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from starlette.types import Scope

from pipeline.api.http.envelope import JsonResponse

_PATHS = ("/api/partner/", "/openapi.json")
_EXPOSED = (
    b"ETag, Location, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, Retry-After, X-Ignored-Parameters, "
    b"X-Request-Id"
)
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


def is_preflight(scope: Scope, headers: Collection[bytes]) -> bool:
    """Return True if a browser asks whether it may send a request."""
    return scope["method"] == "OPTIONS" and b"access-control-request-method" in headers


def respond_to_preflight() -> JsonResponse:
    """Allow the request. The body is not empty, because some clients take an empty one for a failure."""
    body = {"ok": True, "code": 200, "message": "Allowed", "data": {}}
    return JsonResponse(body, 200, _PREFLIGHT)


def _list_origins(app: Any) -> Collection[str]:
    origins: Collection[str] = app.state.slipway.context.settings.api.origins
    return origins
