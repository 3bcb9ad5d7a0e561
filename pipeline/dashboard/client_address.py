"""The network address of the browser."""

from __future__ import annotations

from starlette.requests import Request


def find_address(request: Request) -> str:
    """Return the address that the request came from."""
    return request.client.host if request.client else "unknown"
