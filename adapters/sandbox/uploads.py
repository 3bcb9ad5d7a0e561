"""Uploads: the range that a request announces, its bytes on disk, forms, and the resumable upload of Meta's host.

Bytes are kept if the client disconnects. rupload.facebook.com serves Instagram and Facebook: bytes of a video from an
offset on, or a URL to fetch.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from email.message import Message
from typing import TYPE_CHECKING, BinaryIO

from aiohttp import ClientPayloadError, http_exceptions, web

from adapters.sandbox.dialect import Dialect, json_response, load_table
from adapters.sandbox.endpoint import Call, Route

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from adapters.sandbox.context import SandboxContext
    from adapters.sandbox.store import Record

_DISCONNECTED = (ClientPayloadError, http_exceptions.HttpProcessingError, ConnectionError, TimeoutError)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedBytes:
    """The bytes received by one request."""

    bytes: int
    is_aborted: bool = False
    """The client disconnected; no response will be read."""
    is_too_large: bool = False
    """The body exceeds the limit; the bytes up to the limit are kept."""


_NAME = re.compile(rb'[ ;]name="?([^";\r]*)"?')
_FILE = re.compile(rb"[ ;]filename\*?=")
_RANGE = re.compile(r"bytes (?:(\d{1,12})-(\d{1,12})|\*)/(\d{1,12}|\*)\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The bytes that a Content-Range announces; a status request (`bytes */N`) announces none."""

    first: int | None
    last: int | None
    total: int | None

    @property
    def length(self) -> int:
        """Number of bytes."""
        return 0 if self.first is None or self.last is None else self.last - self.first + 1

    @property
    def is_exact(self) -> bool:
        """True if it names bytes within a file of known size."""
        first, last, total = self.first, self.last, self.total
        return first is not None and last is not None and total is not None and first <= last < total

    @property
    def is_last(self) -> bool:
        """True if the range ends with the last byte of the file."""
        return self.last is not None and self.last + 1 == self.total


def parse_content_range(request: web.Request) -> Span | None:
    """Return the range of the Content-Range header, or None if it is missing or malformed."""
    match = _RANGE.match(request.headers.get("Content-Range", ""))
    if match is None:
        return None
    first, last, total = (None if part in (None, "*") else int(part) for part in match.groups())
    return Span(first=first, last=last, total=total)


def open_at(path: Path, offset: int) -> BinaryIO:
    """Open a file to write at `offset`; create it if it is missing."""
    file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
    file.seek(offset)
    return file


async def receive_body(request: web.Request, path: Path, offset: int, max_bytes: int) -> ReceivedBytes:
    """Write the body of `request` into the file at `offset`, at most `max_bytes`."""
    size = 0
    with open_at(path, offset) as file:
        try:
            async for part in request.content.iter_any():
                file.write(part[: max_bytes - size])
                size += len(part)
                if size > max_bytes:
                    return ReceivedBytes(bytes=max_bytes, is_too_large=True)
        except _DISCONNECTED:
            return ReceivedBytes(bytes=size, is_aborted=True)
    return ReceivedBytes(bytes=size)


def parse_fields(content_type: str, body: bytes) -> Record:
    """Return the form's fields by name: strings, and bytes for parts with a file name.

    Not by aiohttp: it takes a part of the type multipart/form-data, as Meta's SDK sends chunks, for a form in the form.
    """
    header = Message()
    header["Content-Type"] = content_type
    boundary = str(header.get_param("boundary", "")).encode()
    fields: Record = {}
    if not boundary:
        return fields
    for part in (b"\r\n" + body).split(b"\r\n--" + boundary)[1:]:
        head, _, data = part.partition(b"\r\n\r\n")
        name = _NAME.search(head)
        if part.startswith(b"--") or name is None:
            continue
        is_file = _FILE.search(head) is not None
        fields[name[1].decode("utf-8", "replace")] = data if is_file else data.decode("utf-8", "replace")
    return fields


def error_response(
    kind: str, message: str, *, status: int = 400, retriable: bool = False, wait: int | None = None
) -> web.Response:
    """Return an error response; `wait`: seconds for Retry-After."""
    return json_response(
        {"debug_info": {"retriable": retriable, "type": kind, "message": message}}, status, wait=wait
    )


DIALECT = Dialect(
    error_response,
    load_table("facebook")["upload_errors"],
    lambda call: call.request.headers.get("Authorization", "").partition("OAuth ")[2] or None,
)
refuse = DIALECT.refuse


def build_url(call: Call, name: str, record: Record) -> str:
    """Return the upload URL of a record, with the version of the Graph API that the request names."""
    version = call.request.path.split("/")[2]
    place = f"{version}/{record['key']}" if version.startswith("v") else record["key"]
    return f"http://{call.request.host}/rupload/{name}/{place}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumableUpload:
    """The uploads of one platform: its records, whose `size` may be None at first, and what becomes of them."""

    kind: str
    """Kind of its records."""
    find: Callable[[Call], Record | None]
    """Return the record that the path names, or None."""
    is_open: Callable[[SandboxContext, Record], bool]
    """Return whether the record still waits for bytes."""
    max_bytes: int
    use_url: Callable[[Call, Record, str], Awaitable[object]]
    """Take the video from the URL in the header `file_url`; raises Refused."""
    complete: Callable[[Call, Record], Awaitable[object]]
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
            raise refuse("unknown_upload")
        if not self.is_open(call.context, record):
            raise refuse("ended")
        url = call.request.headers.get("file_url")
        if url is not None:
            await self.use_url(call, record, url)
        else:
            await self._store(call, record, _parse_header(call, "offset"), _parse_header(call, "file_size"))
        return json_response(self.answer)

    async def _store(self, call: Call, record: Record, offset: int, size: int) -> None:
        if not 0 < size <= self.max_bytes or record["size"] not in (None, size):
            raise refuse("file_size")
        if offset != record["received"]:
            raise refuse("offset", offset=record["received"])
        taken = await receive_body(call.request, call.context.get_upload(record), offset, size - offset)
        if record["received"] != offset:  # a concurrent request stored the same bytes
            raise refuse("concurrent")
        if taken.is_too_large:
            raise refuse("too_large")
        if self.keeps_partial or not taken.is_aborted:
            call.save(self.kind, record, received=offset + taken.bytes, size=size)
        if taken.is_aborted:
            raise refuse("aborted")
        if record["received"] == size:
            await self.complete(call, record)


def _parse_header(call: Call, name: str) -> int:
    text = call.request.headers.get(name, "")
    if not text.isdecimal():
        raise refuse("no_number", name=name)
    return int(text)
