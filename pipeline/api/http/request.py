"""Read requests: headers by name, the client's network address, and bodies bounded in size, time and sum, JSON only.

Looking a header up in ASGI's list, as Starlette does, goes through all of them each time.

The sum bounds the bytes of JSON bodies that a server process holds, in all and per key. A body counts from its
announcement until its request is answered. Uploaded files and imports do not count: they are streams, and never lie in
memory as a whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from email.message import Message
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address
from uuid import UUID

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Scope

from pipeline.api.http.envelope import HttpRefusal, refuse_too_many
from pipeline.api.server.http_protocol import BODY_COMPLETE

BODY_SECONDS = 30.0
"""Seconds a client may take to send a body."""


async def read_body(request: Request, max_size: int, reservation: Reservation | None = None) -> bytes:
    """Return the whole body, at most *max_size* bytes. Raises Refusal 413, 408, and 400 when the client disconnects.

    *reservation* is extended before the body is read, to its declared size, or else as it arrives; it may refuse too.
    """
    declared = get_header(request, b"content-length") or ""
    if declared.isascii() and declared.isdigit():
        if len(declared) > 18 or int(declared) > max_size:  # noqa: PLR2004
            raise _too_large(max_size)
        if reservation is not None:
            reservation.extend_to(int(declared))
    if BODY_COMPLETE in request.scope:
        return await _read(request, max_size, reservation)
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await _read(request, max_size, reservation)
    except TimeoutError:
        raise HttpRefusal(
            408, "request_timeout", f"The body did not arrive within {BODY_SECONDS:.0f} seconds."
        ) from None


async def _read(request: Request, max_size: int, reservation: Reservation | None) -> bytes:
    chunks, size, more = [], 0, True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise HttpRefusal(400, "invalid_json", "The body ended before it was complete.")
        chunk, more = message.get("body", b""), message.get("more_body", False)
        size += len(chunk)
        if size > max_size:
            raise _too_large(max_size)
        if reservation is not None:
            reservation.extend_to(size)
        chunks.append(chunk)
    return b"".join(chunks)


def require_json(request: Request, body: bytes) -> None:
    """Raise Refusal 415 unless the body is uncompressed JSON in UTF-8. An empty body needs no Content-Type."""
    if encoding := get_header(request, b"content-encoding"):
        raise _unsupported(
            f"Content-Encoding {_quote(encoding)} is not supported. Send the body uncompressed."
        )
    given = get_header(request, b"content-type")
    if given is None:
        if body:
            raise _unsupported("The body has no Content-Type. Send application/json.")
        return
    if not _is_json(given):
        raise _unsupported(f"Content-Type {_quote(given)} is not supported. Send application/json in UTF-8.")


@lru_cache(maxsize=100)
def _is_json(content_type: str) -> bool:
    kind = Message()
    kind["Content-Type"] = content_type
    charset = str(kind.get_param("charset", "utf-8")).lower()
    return kind.get_content_type() == "application/json" and charset in ("utf-8", "utf8")


def _too_large(max_size: int) -> HttpRefusal:
    return HttpRefusal(413, "payload_too_large", f"The body is larger than {max_size:,} bytes.")


def _unsupported(message: str) -> HttpRefusal:
    return HttpRefusal(415, "unsupported_media_type", message)


def _quote(text: str) -> str:
    return repr(text[:100])


SHARES = 4
"""A key may have one in so many bytes of the budget."""
_RESERVATION = "slipway.body_reservation"
"""A key of the ASGI scope: what the request holds of the budget."""


class BodyBudget:
    """The bytes of one server process. For its event loop only: it takes no lock."""

    def __init__(self, total: int) -> None:
        self._total, self._per_key = total, total // SHARES
        self._reserved = 0
        self._by_key: dict[UUID | None, int] = {}

    def open(self, scope: Scope, key: UUID | None) -> Reservation:
        """Return an empty reservation for a request, which its end releases. *key* None: no share applies."""
        reservation = scope[_RESERVATION] = Reservation(self, key)
        return reservation

    def take(self, key: UUID | None, size: int) -> None:
        """Take *size* bytes more. Raises Refusal 503 when they are not left, 429 when the key's share is used up."""
        if self._reserved + size > self._total:
            raise HttpRefusal(
                503, "unavailable", "Too many large requests are open. Repeat the request in a few seconds."
            )
        taken = self._by_key.get(key, 0) + size
        if key is not None and taken > self._per_key:
            message = f"This key has requests with {self._per_key:,} bytes in progress already."
            raise refuse_too_many(self._per_key, message)
        self._reserved += size
        self._by_key[key] = taken

    def give_back(self, key: UUID | None, size: int) -> None:
        """Give *size* bytes back."""
        self._reserved -= size
        if left := self._by_key[key] - size:
            self._by_key[key] = left
        else:
            del self._by_key[key]


class Reservation:
    """The share of the budget that one request holds."""

    def __init__(self, budget: BodyBudget, key: UUID | None) -> None:
        self._budget, self._key = budget, key
        self._size = 0

    def extend_to(self, size: int) -> None:
        """Hold at least *size* bytes. Raises what ``BodyBudget.take`` raises."""
        if size > self._size:
            self._budget.take(self._key, size - self._size)
            self._size = size

    def release(self) -> None:
        """Give everything back."""
        if self._size:
            self._budget.give_back(self._key, self._size)
            self._size = 0


def release_reservation(scope: Scope) -> None:
    """Give back what the request of this ASGI scope holds, if it has read a body."""
    if reservation := scope.get(_RESERVATION):
        reservation.release()


# --- headers ---------------------------------------------------------------------------------------------------------

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
