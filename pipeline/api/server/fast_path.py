"""The way of the one request that has to be fast: straight to its handler, past the framework's routing.

FastAPI's own layers (nine of them around an endpoint that uses none) cost more than everything `POST /posts` does.
The route stays in the framework, too: it is what `/openapi.json` tells, and what other spellings of the address meet.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from pipeline.api.http.envelope import away, refused
from pipeline.api.http.middleware import Edge
from pipeline.stages.post_request import Refusal
from pipeline.store.database import Unreachable

Handler = Callable[[Request], Awaitable[Response]]


class ShortWay(FastAPI):
    """A FastAPI application with a few addresses that are answered before it looks at them."""

    _short: dict[tuple[str, str], ASGIApp]

    def short(self, method: str, path: str, handler: Handler) -> None:
        """From now on this handler answers this method at exactly this address."""
        self._short = {**getattr(self, "_short", {}), (method, path): Edge(_plain(handler))}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection's event, by the short way if there is one."""
        found = self._short.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if found is None:
            await super().__call__(scope, receive, send)
            return
        scope["app"] = self
        await found(scope, receive, send)


class _Heads(Headers):
    """Headers that are looked up without walking over all of them."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope=scope)
        self._first = dict(reversed(self._list))

    def get(self, key: str, default: Any = None) -> Any:
        """The first of this name, as in ``Headers``; the name in lower case."""
        found = self._first.get(key.encode())
        return default if found is None else found.decode("latin-1")


class _Request(Request):
    @property
    def headers(self) -> Headers:
        """The request's headers."""
        if not hasattr(self, "_headers"):
            self._headers = _Heads(self.scope)
        return self._headers


def _plain(handler: Handler) -> ASGIApp:
    """The handler with what the framework would add: a request in, an answer out, refusals told."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            answer = await handler(_Request(scope, receive))
        except Refusal as error:
            answer = refused(error)
        except Unreachable:
            answer = away()
        await answer(scope, receive, send)

    return app
