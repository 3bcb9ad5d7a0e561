"""Takes the bytes of an upload to disk as they come, and keeps what came when the sender is cut off."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import ClientPayloadError, http_exceptions

if TYPE_CHECKING:
    from pathlib import Path

    from aiohttp import web

_CUT = (ClientPayloadError, http_exceptions.HttpProcessingError, ConnectionError, TimeoutError)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedBytes:
    """What one request has brought."""

    bytes: int
    is_aborted: bool = False
    """The sender went away in the middle; nobody will read the answer."""
    is_too_large: bool = False
    """More than allowed came; what was allowed is kept."""


async def receive_body(request: web.Request, path: Path, at: int, most: int) -> ReceivedBytes:
    """Write the body of `request` into the file from byte `at` on, `most` bytes at most."""
    size = 0
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
        file.seek(at)
        try:
            async for part in request.content.iter_any():
                file.write(part[: most - size])
                size += len(part)
                if size > most:
                    return ReceivedBytes(bytes=most, is_too_large=True)
        except _CUT:
            return ReceivedBytes(bytes=size, is_aborted=True)
    return ReceivedBytes(bytes=size)
