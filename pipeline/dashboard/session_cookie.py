"""The cookies of the dashboard: HttpOnly, SameSite=Lax, and Secure except on this machine.

On loopback nothing crosses a network, and browsers disagree about Secure cookies of ``http://127.0.0.1``: where they
are dropped, a login is impossible. Elsewhere the name starts with ``__Host-``: browsers then refuse the cookie from
other hosts of the domain and over plain http (RFC 6265bis, section 4.1.3.2).
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_SESSION, _LOGIN = "slipway", "slipway-login"


def is_loopback(request: Request) -> bool:
    """Return True if the browser's address bar names this machine."""
    return urlsplit("//" + request.headers.get("host", "")).hostname in _LOOPBACK


def read_token(request: Request) -> str | None:
    """Return the token of the session."""
    return request.cookies.get(_name(request, _SESSION)) or None


def set_token(request: Request, response: Response, token: str) -> None:
    """Let the browser keep the token until it closes."""
    _set(request, response, _SESSION, token)


def clear_token(request: Request, response: Response) -> None:
    """Let the browser forget the token."""
    _set(request, response, _SESSION, "", max_age=0)


def read_login_token(request: Request) -> str:
    """Return the token that the form for logging in has to repeat; empty without one."""
    return request.cookies.get(_name(request, _LOGIN), "")


def set_login_token(request: Request, response: Response, token: str) -> None:
    """Let the browser keep the token of the form for logging in."""
    _set(request, response, _LOGIN, token)


def _set(request: Request, response: Response, name: str, value: str, *, max_age: int | None = None) -> None:
    response.set_cookie(
        _name(request, name),
        value,
        max_age=max_age,
        path="/",
        secure=not is_loopback(request),
        httponly=True,
        samesite="lax",
    )


def _name(request: Request, name: str) -> str:
    return name if is_loopback(request) else f"__Host-{name}"
