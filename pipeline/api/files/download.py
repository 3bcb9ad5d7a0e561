"""GET of a file's public URL: whoever knows it may read; nothing about it lets a browser run what is in the file."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from functools import partial
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from pipeline.api.files.limits import Filing
from pipeline.api.http.envelope import HttpRefusal, failure
from pipeline.api.state import Site, site_of
from pipeline.media.files.storage_folder import Part, StorageAway
from pipeline.media.files.uploads import etag_of
from pipeline.stages.post_request import Refusal
from pipeline.store.files import files as store
from pipeline.store.files.files import File

log = logging.getLogger("slipway.api")

CHUNK = 256 * 1024
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)
_UNFIT = re.compile(r'[\x00-\x1f\x7f/\\"]')
_PARTIAL, _UNSATISFIABLE = 206, 416


@dataclass(frozen=True, kw_only=True, slots=True)
class _Asked:
    """Which bytes of which object."""

    object: str
    first: int
    length: int


async def serve(request: Request) -> Response:
    """Hand a file out, or a range of it."""
    site = site_of(request)
    file = await site.reading.run(partial(_find, site, request.path_params["name"]))
    if file is None or file.object is None or file.size is None or file.sha256 is None:
        raise Refusal(404, "not_found", "There is nothing at this address.")
    etag = etag_of(file.sha256)
    headers = _headers(file, etag)
    if _matches(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    span = _span(request.headers, etag, file.size)
    if span is None:
        told = {"Content-Range": f"bytes */{file.size}", "Accept-Ranges": "bytes"}
        return failure(
            _UNSATISFIABLE, "range_not_satisfiable", f"The file has {file.size:,} bytes.", headers=told
        )
    first, last = span
    status = 200 if last - first + 1 == file.size else _PARTIAL
    headers["Content-Length"] = str(last - first + 1)
    if status == _PARTIAL:
        headers["Content-Range"] = f"bytes {first}-{last}/{file.size}"
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=file.content_type)
    asked = _Asked(object=file.object, first=first, length=last - first + 1)
    return await _streamed(site, file, asked, status, headers)


async def _streamed(
    site: Site, file: File, asked: _Asked, status: int, headers: Mapping[str, str]
) -> Response:
    """Opened and begun before anything is answered, so that what is not there can still be said."""
    filing = site.filing
    filing.downloads.enter(file.workspace_id)
    part: Part | None = None
    try:
        part = await filing.lane.run(
            partial(site.context.files.storage.open, asked.object, asked.first, asked.length)
        )
        start = await filing.lane.run(partial(part.read, CHUNK))
    except BaseException as error:
        filing.downloads.leave(file.workspace_id)
        if part is not None:
            part.close()
        if isinstance(error, StorageAway):
            log.warning("file %s cannot be read: %s", file.id, error)
            raise HttpRefusal(
                503, "unavailable", "The file cannot be read now. Repeat it in a moment."
            ) from error
        raise
    return _Stream(filing, file, part, start, status, headers)


class _Stream(StreamingResponse):
    """The rest, as fast as it is taken; the object is let go however it ends."""

    def __init__(
        self, filing: Filing, file: File, part: Part, start: bytes, status: int, headers: Mapping[str, str]
    ) -> None:
        self._filing, self._file, self._part, self._start = filing, file, part, start
        super().__init__(self._chunks(), status, headers, media_type=file.content_type)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._filing.downloads.leave(self._file.workspace_id)
            self._part.close()

    async def _chunks(self) -> AsyncIterator[bytes]:
        data = self._start
        while data:
            yield data
            data = await self._filing.lane.run(partial(self._part.read, CHUNK))


def _find(site: Site, name: str) -> File | None:
    if "\0" in name:
        return None
    with site.context.database.begin() as c:
        return store.find_public(c, name)


def _headers(file: File, etag: str) -> dict[str, str]:
    return {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, max-age=3600, immutable",
        "Content-Disposition": _disposition(file),
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cross-Origin-Resource-Policy": "cross-origin",
        "X-Content-Type-Options": "nosniff",
    }


def _disposition(file: File) -> str:
    """RFC 6266: a name every client can read, and the real one beside it."""
    name = _UNFIT.sub("_", file.filename or file.name)
    plain = name.encode("ascii", "replace").decode().replace("?", "_").replace("%", "_")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def _matches(given: str | None, etag: str) -> bool:
    return given is not None and (
        given.strip() == "*" or etag in [one.strip().removeprefix("W/") for one in given.split(",")]
    )


def _span(headers: Mapping[str, str], etag: str, size: int) -> tuple[int, int] | None:
    """First and last byte to send; None: the range lies outside. What cannot be read is no range (RFC 9110)."""
    whole = (0, size - 1)
    found = _RANGE.fullmatch(headers.get("range", "").replace(" ", ""))
    if found is None or found.group(0) == "bytes=-" or headers.get("if-range", etag) != etag:
        return whole
    first, last = found.groups()
    if not first:
        return None if int(last) == 0 else (max(0, size - int(last)), size - 1)
    if last and int(last) < int(first):
        return whole
    return None if int(first) >= size else (int(first), min(int(last or size - 1), size - 1))
