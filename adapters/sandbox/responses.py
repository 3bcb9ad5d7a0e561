"""JSON responses, and the exception that carries an error response."""

from __future__ import annotations

import json
from collections.abc import Mapping

from aiohttp import web

encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


class Refused(Exception):
    """A request is refused before it has any effect."""

    def __init__(self, response: web.Response) -> None:
        """Hold the platform's error response."""
        super().__init__(response.status)
        self.response = response


def proxy_response(status: int, body: str) -> web.Response:
    """Return a response that is not the platform's: an HTML page, JSON, or plain text."""
    kinds = {"<": "text/html", "{": "application/json", "[": "application/json"}
    kind = kinds.get(body.lstrip()[:1], "text/plain")
    return web.Response(text=body, status=status, content_type=kind)


def json_response(
    body: object, status: int = 200, headers: Mapping[str, str] | None = None, *, wait: int | None = None
) -> web.Response:
    """Return `body` as a JSON response; `wait`: seconds for Retry-After."""
    if wait is not None:
        headers = {**(headers or {}), "Retry-After": str(wait)}
    return web.Response(
        body=encode(body).encode(),
        status=status,
        headers=headers,
        content_type="application/json",
        charset="utf-8",
    )
