"""rupload.facebook.com, the upload host of Instagram and Facebook: bytes of a video, resumably, or a URL to fetch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from adapters.sandbox.endpoint import Route, make_dialect
from adapters.sandbox.responses import Refused, json_response
from adapters.sandbox.upload_body import receive_body
from adapters.sandbox.vendor_table import load_table

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from aiohttp import web

    from adapters.sandbox.context import SandboxContext
    from adapters.sandbox.endpoint import Call
    from adapters.sandbox.store import Record


def error_response(
    kind: str, message: str, *, status: int = 400, retriable: bool = False, wait: int | None = None
) -> web.Response:
    """Return an error response; `wait`: seconds for Retry-After."""
    return json_response(
        {"debug_info": {"retriable": retriable, "type": kind, "message": message}}, status, wait=wait
    )


def refuse(kind: str, message: str, *, status: int = 400, retriable: bool = False) -> Refused:
    """Return the exception that responds with this error."""
    return Refused(error_response(kind, message, status=status, retriable=retriable))


DIALECT = make_dialect(
    error_response,
    load_table("facebook")["upload_errors"],
    lambda call: call.request.headers.get("Authorization", "").partition("OAuth ")[2] or None,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumableUpload:
    """The uploads of one platform: its records, and what happens with the bytes or the URL."""

    find: Callable[[Call], Record | None]
    """Return the record that the path names, or None."""
    is_open: Callable[[SandboxContext, Record], bool]
    """Return whether the record still waits for bytes."""
    size: str
    """Name of the record's field with the size, None until it is known."""
    max_bytes: int
    path: Callable[[SandboxContext, Record], Path]
    save: Callable[[SandboxContext, Record], object]
    use_url: Callable[[Call, Record, str], Awaitable[None]]
    """Take the video from the URL in the header `file_url`; raises Refused."""
    complete: Callable[[Call, Record], Awaitable[None]]
    """Handle a record whose bytes are complete."""
    keeps_partial: bool
    """The bytes of an interrupted request count."""
    answer: Record

    def route(self, path: str) -> Route:
        """Return the endpoint at `path`."""
        return Route("POST", path, "upload", self.receive, dialect=DIALECT, is_streamed=True)

    async def receive(self, call: Call) -> web.Response:
        """POST bytes from `offset` on, or the header `file_url`."""
        account, record = call.authenticate(), self.find(call)
        if record is None or record["account"] != account["remote_id"]:
            raise refuse("ProcessingFailedError", "No such upload", status=404)
        if not self.is_open(call.context, record):
            raise refuse("ProcessingFailedError", "The upload has already ended")
        url = call.request.headers.get("file_url")
        if url is not None:
            await self.use_url(call, record, url)
        else:
            await self._store(call, record, _parse_header(call, "offset"), _parse_header(call, "file_size"))
        return json_response(self.answer)

    async def _store(self, call: Call, record: Record, offset: int, size: int) -> None:
        if not 0 < size <= self.max_bytes or record[self.size] not in (None, size):
            raise refuse("ProcessingFailedError", "file_size does not fit")
        if offset != record["received"]:
            message = f"Offset must be {record['received']}"
            raise refuse("OffsetInvalidError", message, retriable=True)
        taken = await receive_body(call.request, self.path(call.context, record), offset, size - offset)
        if record["received"] != offset:  # a concurrent request stored the same bytes
            raise refuse("OffsetInvalidError", "Another request is sending", retriable=True)
        if taken.is_too_large:
            raise refuse("ProcessingFailedError", "More bytes than file_size says")
        if self.keeps_partial or not taken.is_aborted:
            record |= {"received": offset + taken.bytes, self.size: size}
            self.save(call.context, record)
        if taken.is_aborted:
            raise refuse("PartialRequestError", "The request ended early", retriable=True)
        if record["received"] == size:
            await self.complete(call, record)


def _parse_header(call: Call, name: str) -> int:
    text = call.request.headers.get(name, "")
    if not text.isdecimal():
        raise refuse("PartialRequestError", f"Header {name} must be a number")
    return int(text)
