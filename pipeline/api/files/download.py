"""GET of a file's public URL: the URL is the permission, and the headers keep browsers from running the content."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from pipeline.api.files.routes import BYTES
from pipeline.api.http.envelope import HttpRefusal, failure
from pipeline.api.http.representation import ReleasingStream, matches
from pipeline.api.openapi.introduction import FILES
from pipeline.api.openapi.operation import Routes, header_parameter, path_parameter
from pipeline.api.state import AppState, get_app_state
from pipeline.media.storage import StorageReader, StorageUnavailable
from pipeline.media.uploads import ENDINGS, PATH, compute_etag
from pipeline.stages.post_request import Refusal
from pipeline.store.files import files as store
from pipeline.store.files.files import File

log = logging.getLogger("slipway.api")

CHUNK = 256 * 1024
"""Bytes read from storage at once."""
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)
_UNSAFE_IN_FILENAME = re.compile(r'[\x00-\x1f\x7f/\\"]')
_PARTIAL, _UNSATISFIABLE = 206, 416


routes = Routes(tag=FILES, path="", base="")
_TEXT = {"type": "string"}
_CONTENT: dict[str, Any] = {
    "headers": {name: {"schema": _TEXT} for name in ("ETag", "Accept-Ranges", "Content-Disposition")},
    "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in (*ENDINGS, BYTES)},
}


@routes.add(
    "GET",
    f"{PATH}{{name}}",
    "The file.",
    "range_not_satisfiable",
    "internal_error",
    "unavailable",
    meanings={
        "not_found": "there is no such file",
        "rate_limited": "too many downloads of the workspace are in progress",
    },
    response_class=Response,
    needs_key=False,
    parameters=[
        path_parameter("name", _TEXT),
        *(header_parameter(name, _TEXT) for name in ("Range", "If-Range", "If-None-Match")),
    ],
    responses={
        200: {
            "description": f"The file as its own type, or as {BYTES} if just that is accepted.",
            **_CONTENT,
        },
        206: {"description": "The requested range.", **_CONTENT},
        304: {"description": "The client has the file already (If-None-Match)."},
    },
)
async def get_file(request: Request) -> Response:
    """Return a file, or a range of its bytes."""
    app_state = get_app_state(request)
    file = await app_state.read_bulkhead.run(partial(_find, app_state, request.path_params["name"]))
    if file is None or file.object is None or file.size is None or file.sha256 is None:
        raise Refusal(404, "not_found", "There is no such file.")
    etag = compute_etag(file.sha256)
    headers = _headers(file, etag)
    if matches(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    span = _parse_range(request.headers, etag, file.size)
    if span is None:
        range_headers = {"Content-Range": f"bytes */{file.size}", "Accept-Ranges": "bytes"}
        return failure(
            _UNSATISFIABLE,
            "range_not_satisfiable",
            f"The file has {file.size:,} bytes.",
            headers=range_headers,
        )
    first, last = span
    status = 200 if last - first + 1 == file.size else _PARTIAL
    headers["Content-Length"] = str(last - first + 1)
    headers["Content-Type"] = BYTES if request.headers.get("accept") == BYTES else file.content_type
    if status == _PARTIAL:
        headers["Content-Range"] = f"bytes {first}-{last}/{file.size}"
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    begin = partial(app_state.context.files.storage.open, file.object, first, last - first + 1)
    return await _stream(app_state, file, begin, status, headers)


async def _stream(
    app_state: AppState,
    file: File,
    begin: Callable[[], StorageReader],
    status: int,
    headers: Mapping[str, str],
) -> Response:
    """Read the first chunk before the response starts, so that a storage failure is still answered with 503."""
    app_state.downloads.acquire(file.workspace_id)
    part: StorageReader | None = None
    try:
        part = await app_state.transfer_bulkhead.run(begin)
        start = await app_state.transfer_bulkhead.run(partial(part.read, CHUNK))
    except BaseException as error:
        app_state.downloads.release(file.workspace_id)
        if part is not None:
            part.close()
        if isinstance(error, StorageUnavailable):
            log.warning("reading file %s from storage failed: %s", file.id, error)
            raise HttpRefusal(
                503, "unavailable", "The file storage is unavailable. Repeat the request in a few seconds."
            ) from error
        raise
    chunks = _read_chunks(app_state, part, start)
    return ReleasingStream(chunks, partial(_release, app_state, file, part), status, headers)


async def _read_chunks(app_state: AppState, part: StorageReader, start: bytes) -> AsyncIterator[bytes]:
    data = start
    while data:
        yield data
        data = await app_state.transfer_bulkhead.run(partial(part.read, CHUNK))


def _release(app_state: AppState, file: File, part: StorageReader) -> None:
    app_state.downloads.release(file.workspace_id)
    part.close()


def _find(app_state: AppState, name: str) -> File | None:
    if "\0" in name:
        return None
    return app_state.transact(store.find_public, name)


def _headers(file: File, etag: str) -> dict[str, str]:
    return {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, max-age=3600, immutable",
        "Content-Disposition": _disposition(file),
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cross-Origin-Resource-Policy": "cross-origin",
        "Vary": "Accept",
        "X-Content-Type-Options": "nosniff",
    }


def _disposition(file: File) -> str:
    """Return the Content-Disposition: an ASCII name for old clients and the real one (RFC 6266)."""
    name = _UNSAFE_IN_FILENAME.sub("_", file.filename or file.name)
    plain = name.encode("ascii", "replace").decode().replace("?", "_").replace("%", "_")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def _parse_range(headers: Mapping[str, str], etag: str, size: int) -> tuple[int, int] | None:
    """Return the first and last byte to send, or None for a range outside the file.

    A malformed range is ignored, as RFC 9110 asks.
    """
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
