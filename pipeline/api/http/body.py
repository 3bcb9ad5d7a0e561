"""Reading a request's body: bounded in size and time, and only in the one format there is."""

from __future__ import annotations

import asyncio
from email.message import Message
from functools import lru_cache

from starlette.requests import Request

from pipeline.api.http.envelope import HttpRefusal
from pipeline.api.server.http_protocol import WHOLE

SECONDS = 30.0
"""Longest time a client may take to send its body."""


async def read_body(request: Request, most: int) -> bytes:
    """The whole body; never holds more than ``most`` bytes and one chunk. Raises Refusal 413 and 408."""
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and (len(declared) > 18 or int(declared) > most):  # noqa: PLR2004
        raise _too_large(most)
    if WHOLE in request.scope:
        return await _read(request, most)
    try:
        async with asyncio.timeout(SECONDS):
            return await _read(request, most)
    except TimeoutError:
        raise HttpRefusal(
            408, "request_timeout", f"The body did not arrive within {SECONDS:.0f} seconds."
        ) from None


async def _read(request: Request, most: int) -> bytes:
    chunks, size, more = [], 0, True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise HttpRefusal(400, "invalid_json", "The body ended before it was complete.")
        chunk, more = message.get("body", b""), message.get("more_body", False)
        size += len(chunk)
        if size > most:
            raise _too_large(most)
        chunks.append(chunk)
    return b"".join(chunks)


def require_json(request: Request, body: bytes) -> None:
    """Raises Refusal 415 unless the body is JSON in UTF-8, uncompressed. No body needs no content type."""
    if encoding := request.headers.get("content-encoding"):
        raise _unsupported(f"Content-Encoding {_clipped(encoding)} is not read: send the body as it is.")
    given = request.headers.get("content-type")
    if given is None:
        if body:
            raise _unsupported("The body has no Content-Type: send application/json.")
        return
    if not _is_json(given):
        raise _unsupported(f"Content-Type {_clipped(given)} is not read: send application/json in UTF-8.")


@lru_cache(maxsize=100)
def _is_json(content_type: str) -> bool:
    kind = Message()
    kind["Content-Type"] = content_type
    charset = str(kind.get_param("charset", "utf-8")).lower()
    return kind.get_content_type() == "application/json" and charset in ("utf-8", "utf8")


def _too_large(most: int) -> HttpRefusal:
    return HttpRefusal(413, "payload_too_large", f"The body is larger than {most:,} bytes.")


def _unsupported(message: str) -> HttpRefusal:
    return HttpRefusal(415, "unsupported_media_type", message)


def _clipped(text: str) -> str:
    return repr(text[:100])
