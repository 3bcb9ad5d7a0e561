"""The network address of a client, behind proxies that the settings name."""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import IPv4Network, IPv6Network, ip_address

from starlette.requests import Request

UNKNOWN = "unknown"


def find_address(request: Request, proxies: Collection[IPv4Network | IPv6Network]) -> str:
    """Return the address that the request came from. X-Forwarded-For counts only as far as named proxies wrote it."""
    peer = request.client.host if request.client else UNKNOWN
    return choose_address(peer, ",".join(request.headers.getlist("x-forwarded-for")), proxies)


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
