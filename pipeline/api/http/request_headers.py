"""A request's headers by name: looking one up in ASGI's list, as Starlette does, goes through all of them each time.

The network address of a client, behind proxies that the settings name.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Scope

UNKNOWN = "unknown"


def find_address(scope: Scope, proxies: Collection[IPv4Network | IPv6Network]) -> str:
    """Return the address that the request came from. X-Forwarded-For counts only as far as named proxies wrote it."""
    peer: str = scope["client"][0] if scope.get("client") else UNKNOWN
    if not proxies:
        return peer
    return choose_address(peer, ",".join(Headers(scope=scope).getlist("x-forwarded-for")), proxies)


def choose_address(peer: str, forwarded: str, proxies: Collection[IPv4Network | IPv6Network]) -> str:
    """Return the last address of the way that is no proxy of ours; an invalid one ends the way before it."""
    found = peer
    for hop in reversed([part.strip() for part in forwarded.split(",")]):
        if not (_is_in(found, proxies) and _is_address(hop)):
            break
        found = hop
    return found


def _is_in(text: str, networks: Collection[IPv4Network | IPv6Network]) -> bool:
    return _is_address(text) and any(ip_address(text) in network for network in networks)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


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
