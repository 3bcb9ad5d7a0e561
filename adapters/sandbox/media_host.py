"""Serves media files, and nothing else, on a port of its own; misbehaves on request.

`?status=503`, `?redirect=<url>`, `?drip=1` (a byte a second), `?type=text/html`, `?etag=x` change one answer.
"""

import asyncio
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from adapters.sandbox.endpoint import reset_connection
from adapters.sandbox.probe import hash_file

if TYPE_CHECKING:
    from adapters.sandbox.context import SandboxContext

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}\Z")
"""Names files may have: no way out of the folder."""

_TYPES = {
    ".mp4": "video/mp4",
    ".mov": "video/quicktime",
    ".webm": "video/webm",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
}
_RANGE = re.compile(r"bytes=(\d*)-(\d*)\Z")
_STEP = 1 << 18


@dataclass(frozen=True, slots=True, kw_only=True)
class _Slice:
    first: int
    last: int
    is_part: bool = True
    """Asked for as a range, even if the range is everything."""

    @property
    def length(self) -> int:
        return self.last - self.first + 1


class MediaHost:
    """Answers GET and HEAD of /media/<name>."""

    def __init__(self, context: "SandboxContext") -> None:
        """Serve the media folder of `context`."""
        self._context = context
        self._etags: dict[tuple[str, int, int], str] = {}

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """One request."""
        if self._context.faults.active and (struck := await self._strike(request)) is not None:
            return struck
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

    async def _strike(self, request: web.Request) -> web.Response | None:
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

    async def _send(self, request: web.Request, path: Path, facts: os.stat_result) -> web.StreamResponse:
        etag = f'"{request.query["etag"]}"' if "etag" in request.query else await self._etag(path, facts)
        size = facts.st_size
        kind = request.query.get("type") or _TYPES.get(path.suffix.lower(), "application/octet-stream")
        headers = {"ETag": etag, "Accept-Ranges": "bytes", "Content-Type": kind}
        wanted = _wanted(request, size, etag)
        if wanted is None:
            return web.Response(status=416, headers={"Content-Range": f"bytes */{size}"})
        if wanted.is_part:
            headers["Content-Range"] = f"bytes {wanted.first}-{wanted.last}/{size}"
        headers["Content-Length"] = str(wanted.length)
        response = web.StreamResponse(status=206 if wanted.is_part else 200, headers=headers)
        await response.prepare(request)
        if request.method != "HEAD":
            await _write(response, path, wanted, slowly="drip" in request.query)
        await response.write_eof()
        return response

    async def _etag(self, path: Path, facts: os.stat_result) -> str:
        key = (path.name, facts.st_mtime_ns, facts.st_size)
        if key not in self._etags:
            self._etags[key] = f'"{(await asyncio.to_thread(hash_file, path))[:32]}"'
        return self._etags[key]


def _wanted(request: web.Request, size: int, etag: str) -> _Slice | None:
    """The bytes to send; None when the range lies outside. What is no single range of bytes gets everything."""
    everything = _Slice(first=0, last=size - 1, is_part=False)
    match = _RANGE.match(request.headers.get("Range", ""))
    if match is None or request.headers.get("If-Range", etag) != etag:
        return everything
    first, last = match.groups()
    if first:
        wanted = _Slice(first=int(first), last=min(int(last or size), size - 1))
    elif last:
        wanted = _Slice(first=max(0, size - int(last)), last=size - 1)
    else:
        return everything
    return wanted if wanted.first <= wanted.last else None


async def _write(response: web.StreamResponse, path: Path, wanted: _Slice, *, slowly: bool) -> None:
    left = wanted.length
    with path.open("rb") as file:
        file.seek(wanted.first)
        while left and (part := file.read(1 if slowly else min(_STEP, left))):
            left -= len(part)
            await response.write(part)
            if slowly and left:
                await asyncio.sleep(1)


def media_app(context: "SandboxContext") -> web.Application:
    """The application of the media port."""
    app = web.Application()
    app.router.add_get("/media/{name}", MediaHost(context).answer)
    return app
