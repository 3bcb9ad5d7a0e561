"""Write an upload to disk as it arrives, and keep what arrived if the client disconnects."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import ClientPayloadError, http_exceptions

if TYPE_CHECKING:
    from pathlib import Path

    from aiohttp import web

_DISCONNECTED = (ClientPayloadError, http_exceptions.HttpProcessingError, ConnectionError, TimeoutError)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedBytes:
    """The bytes received by one request."""

    bytes: int
    is_aborted: bool = False
    """The client disconnected; no response will be read."""
    is_too_large: bool = False
    """The body exceeds the limit; the bytes up to the limit are kept."""


async def receive_body(request: web.Request, path: Path, offset: int, max_bytes: int) -> ReceivedBytes:
    """Write the body of `request` into the file at `offset`, at most `max_bytes`."""
    size = 0
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
        file.seek(offset)
        try:
            async for part in request.content.iter_any():
                file.write(part[: max_bytes - size])
                size += len(part)
                if size > max_bytes:
                    return ReceivedBytes(bytes=max_bytes, is_too_large=True)
        except _DISCONNECTED:
            return ReceivedBytes(bytes=size, is_aborted=True)
    return ReceivedBytes(bytes=size)
