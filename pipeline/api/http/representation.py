"""Choose the representation of a response: none if the client has it (304), or a compressed one if it asks for that.

RFC 9110, sections 8.8 (entity tags), 12.5.3 (Accept-Encoding) and 13.1 (conditional requests). A compressed
representation has an entity tag of its own, the plain one with a suffix, and preconditions accept both.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Protocol

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from pipeline.runtime.interpreter import zstd

MIN_COMPRESSED = 1024
"""Bytes up to which a body is sent as it is."""
_MIN_THREAD = 32 * 1024
"""Bytes from which a body is compressed on a thread, so that the event loop is not blocked."""
_LEVEL = 1
"""The fastest level of gzip and zstd. Level 6 of gzip takes three times as long for a tenth less of a page of posts."""
_READS = ("GET", "HEAD")
VARY = "Authorization, Accept-Encoding, Origin"
"""Request headers that a response depends on."""

_TAG = re.compile(r'(?:W/)?"([^"]*?)(?:-(?:gzip|zstd))?"')


class NegotiatedResponse(Response):
    """A response whose whole body is known. It is compressed, or replaced by 304, as the request asks."""

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:  # type: ignore[override]
        """Send the response in the representation that suits the request."""
        is_read = scope["method"] in _READS and self.status_code == 200  # noqa: PLR2004
        if is_read or len(self.body) > MIN_COMPRESSED:
            return self._send_chosen(scope, receive, send, is_read=is_read)
        return super().__call__(scope, receive, send)

    async def _send_chosen(self, scope: Scope, receive: Receive, send: Send, *, is_read: bool) -> None:
        await self._choose(dict(scope["headers"]), is_read=is_read)
        await super().__call__(scope, receive, send)

    async def _choose(self, given: Mapping[bytes, bytes], *, is_read: bool) -> None:
        if is_read:
            etag = self.headers.setdefault("ETag", f'W/"{hashlib.sha256(self.body).hexdigest()[:32]}"')
            if matches(given.get(b"if-none-match", b"").decode("latin-1"), etag):
                self._empty()
                return
        if len(self.body) > MIN_COMPRESSED and "content-encoding" not in self.headers:
            name = choose_encoding(given.get(b"accept-encoding", b"").decode("latin-1"))
            if name is not None:
                await self._compress(name)

    def _empty(self) -> None:
        self.status_code, self.body = 304, b""
        for name in ("content-length", "content-type"):
            del self.headers[name]

    async def _compress(self, name: str) -> None:
        body = bytes(self.body)
        on_thread = len(body) >= _MIN_THREAD
        self.body = await asyncio.to_thread(_compress, name, body) if on_thread else _compress(name, body)
        self.headers["Content-Encoding"], self.headers["Content-Length"] = name, str(len(self.body))
        if etag := self.headers.get("ETag"):
            self.headers["ETag"] = f'{etag[:-1]}-{name}"'


class ReleasingStream(StreamingResponse):
    """A body that is read while it is sent, at the client's speed. *release* is called however it ends."""

    def __init__(
        self,
        parts: AsyncIterator[bytes],
        release: Callable[[], None],
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._release = release
        super().__init__(parts, status, headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the parts, then call *release*."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._release()


def matches(given: str | None, etag: str) -> bool:
    """Return True if *given*, the value of If-None-Match, names *etag*, weakly compared, or is ``*``."""
    if not given:
        return False
    return given.strip() == "*" or _TAG.sub(r"\1", etag) in _TAG.findall(given)


def strip_encodings(given: str | None) -> str | None:
    """Return the value of If-Match with the tags of the plain representations."""
    return None if given is None else re.sub(r'-(?:gzip|zstd)"', '"', given)


def choose_encoding(accepted: str) -> str | None:
    """Return the best supported encoding of an Accept-Encoding header, or None: send the body as it is."""
    weights: dict[str, float] = {}
    for part in accepted.lower().split(",") if accepted else ():
        name, _, parameter = part.strip().partition(";")
        weights[name.strip()] = _parse_weight(parameter)
    default = weights.get("*", 0.0)
    best = max(_ENCODINGS, key=lambda name: weights.get(name, default))  # the first of equals
    return best if weights.get(best, default) > 0 else None


def _parse_weight(parameter: str) -> float:
    found = re.fullmatch(r"\s*q\s*=\s*(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*", parameter)
    return float(found[1]) if found else float(not parameter.strip())


def _compress(encoding: str, body: bytes) -> bytes:
    compressor = create_compressor(encoding)
    return compressor.compress(body) + compressor.flush()


class Compressor(Protocol):
    """A compressor of a body that is written part by part."""

    def compress(self, data: bytes, /) -> bytes:
        """Compress a part; the returned bytes may belong to earlier parts."""

    def flush(self) -> bytes:
        """Return the end of the body."""


def create_compressor(encoding: str) -> Compressor:
    """Return a compressor to an encoding that `choose_encoding` returned."""
    return _ENCODINGS[encoding]()


_ENCODINGS: Mapping[str, Callable[[], Compressor]] = {
    "zstd": lambda: zstd.ZstdCompressor(_LEVEL),
    "gzip": lambda: zlib.compressobj(_LEVEL, wbits=31),  # 31: a gzip header and trailer
}
"""The supported encodings, the best first."""
