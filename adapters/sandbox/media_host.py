"""The media host: media files on a port of its own, with faults on request.

`?status=503`, `?redirect=<url>`, `?drip=1` (a byte a second), `?type=text/html`, `?etag=x` change one response.
"""

import asyncio
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from adapters.sandbox.endpoint import reset_connection
from adapters.sandbox.media import hash_file

if TYPE_CHECKING:
    from adapters.sandbox.context import SandboxContext

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}\Z")
"""Allowed file names; none leaves the folder."""

_TYPES = {
    ".mp4": "video/mp4",
    ".mov": "video/quicktime",
    ".webm": "video/webm",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".pdf": "application/pdf",
}
_CHUNK_BYTES = 1 << 18


class MediaHost:
    """Handler of GET and HEAD /media/<name>."""

    def __init__(self, context: "SandboxContext") -> None:
        """Serve the media folder of `context`."""
        self._context = context
        self._etags: dict[tuple[str, int, int], str] = {}

    async def respond(self, request: web.Request) -> web.StreamResponse:
        """Respond to one request."""
        if self._context.faults.is_active and (response := await self._apply_fault(request)) is not None:
            return response
        query = request.query
        if "redirect" in query:
            return web.Response(status=302, headers={"Location": query["redirect"]})
        if "status" in query:
            return web.Response(status=int(query["status"]) if query["status"].isdecimal() else 500)
        name = request.match_info["name"]
        path = self._context.media / name
        if not NAME.match(name) or not path.is_file():
            return web.Response(status=404)
        return await self._send(request, path, path.stat())

    async def _apply_fault(self, request: web.Request) -> web.Response | None:
        for fault in self._context.faults.find_matching(("media",), "media", None):
            self._context.faults.spend(fault)
            match fault["fault"]:
                case "latency":
                    await asyncio.sleep(fault["delay_ms"] / 1000)
                case "429":
                    return web.Response(status=429, headers={"Retry-After": str(fault["retry_after"] or 60)})
                case "drop":
                    return reset_connection(request)
                case _:
                    return web.Response(status=503)
        return None

    async def _send(self, request: web.Request, path: Path, info: os.stat_result) -> web.StreamResponse:
        etag = (
            f'"{request.query["etag"]}"' if "etag" in request.query else await self._compute_etag(path, info)
        )
        size = info.st_size
        kind = request.query.get("type") or _TYPES.get(path.suffix.lower(), "application/octet-stream")
        headers = {"ETag": etag, "Accept-Ranges": "bytes", "Content-Type": kind}
        part = _parse_range(request, size, etag)
        if part is not None:
            if not part:
                return web.Response(status=416, headers={"Content-Range": f"bytes */{size}"})
            headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
        sent = range(size) if part is None else part
        headers["Content-Length"] = str(len(sent))
        response = web.StreamResponse(status=200 if part is None else 206, headers=headers)
        await response.prepare(request)
        if request.method != "HEAD":
            await _write(response, path, sent, is_slow="drip" in request.query)
        await response.write_eof()
        return response

    async def _compute_etag(self, path: Path, info: os.stat_result) -> str:
        key = (path.name, info.st_mtime_ns, info.st_size)
        if key not in self._etags:
            self._etags[key] = f'"{(await asyncio.to_thread(hash_file, path))[:32]}"'
        return self._etags[key]


def _parse_range(request: web.Request, size: int, etag: str) -> range | None:
    """Return the bytes to send, none if the range is outside the file; None without one valid range: all of them."""
    try:
        asked = request.http_range
    except ValueError:
        return None
    if "Range" not in request.headers or request.headers.get("If-Range", etag) != etag:
        return None
    return range(size)[asked]


async def _write(response: web.StreamResponse, path: Path, part: range, *, is_slow: bool) -> None:
    left = len(part)
    with path.open("rb") as file:
        file.seek(part.start)
        while left and (data := file.read(1 if is_slow else min(_CHUNK_BYTES, left))):
            left -= len(data)
            await response.write(data)
            if is_slow and left:
                await asyncio.sleep(1)


def make_media_app(context: "SandboxContext") -> web.Application:
    """Return the application of the media port."""
    app = web.Application()
    app.router.add_get("/media/{name}", MediaHost(context).respond)
    return app
