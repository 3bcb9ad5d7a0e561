"""The cookies of the dashboard: HttpOnly, SameSite=Lax, and Secure except on this machine.

On loopback nothing crosses a network, and browsers disagree about Secure cookies of ``http://127.0.0.1``: where they
are dropped, a login is impossible. Elsewhere the name starts with ``__Host-``: browsers then refuse the cookie from
other hosts of the domain and over plain http (RFC 6265bis, section 4.1.3.2).
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from pipeline.store.auth.login_tries import KNOWN_FOR

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_SESSION, _LOGIN, _HOST = "slipway", "slipway-login", "__Host-"


def is_loopback(request: Request) -> bool:
    """Return True if the browser opened this server by a name of its own machine, over plain http.

    A request that changes something says so in Origin. A proxy may replace the Host of others by its own loopback.
    """
    origin = request.headers.get("origin") or _build_origin(request)
    return origin.startswith("http://") and _is_this_machine(origin)


def read_token(request: Request) -> str | None:
    """Return the token of the session."""
    return _read(request, _SESSION) or None


def set_token(request: Request, response: Response, token: str) -> None:
    """Let the browser keep the token until it closes."""
    _set(request, response, _SESSION, token)


def clear_token(request: Request, response: Response) -> None:
    """Let the browser forget the token."""
    _set(request, response, _SESSION, "", max_age=0)


def read_login_token(request: Request) -> str:
    """Return the token that the form for logging in has to repeat; empty without one."""
    return _read(request, _LOGIN)


def set_login_token(request: Request, response: Response, token: str) -> None:
    """Let the browser keep the token of the form for logging in, by which it is known later."""
    _set(request, response, _LOGIN, token, max_age=int(KNOWN_FOR.total_seconds()))


def _read(request: Request, name: str) -> str:
    """Return a cookie; without ``__Host-``, which other hosts of the domain could set, only on this machine."""
    plain = request.cookies.get(name, "") if _is_this_machine(_build_origin(request)) else ""
    return request.cookies.get(_HOST + name) or plain


def _build_origin(request: Request) -> str:
    return f"http://{request.headers.get('host', '')}"


def _is_this_machine(origin: str) -> bool:
    try:
        return urlsplit(origin).hostname in _LOOPBACK
    except ValueError:  # a bracket that is not closed, for example
        return False


def _set(request: Request, response: Response, name: str, value: str, *, max_age: int | None = None) -> None:
    is_plain = is_loopback(request)
    response.set_cookie(
        name if is_plain else _HOST + name,
        value,
        max_age=max_age,
        path="/",
        secure=not is_plain,
        httponly=True,
        samesite="lax",
    )
