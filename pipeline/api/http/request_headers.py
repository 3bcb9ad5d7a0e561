"""A request's headers by name: looking one up in ASGI's list, as Starlette does, goes through all of them each time."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.types import Scope

_HEADERS = "slipway.headers"
"""The key of the headers in a request's scope."""


def index_headers(scope: Scope) -> Mapping[bytes, bytes]:
    """Return the headers by name, in lower case as ASGI sends them; of several with one name the first."""
    found: Mapping[bytes, bytes] | None = scope.get(_HEADERS)
    if found is None:
        found = scope[_HEADERS] = dict(reversed(scope["headers"]))
    return found


def get_header(request: Request, name: bytes) -> str | None:
    """Return the header of this name, which is in lower case."""
    scope = request.scope
    value = (scope.get(_HEADERS) or index_headers(scope)).get(name)
    return None if value is None else value.decode("latin-1")
