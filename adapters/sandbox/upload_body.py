"""Uploads: the range that a request announces, its bytes on disk, kept if the client disconnects, and forms."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from email.message import Message
from pathlib import Path

from aiohttp import ClientPayloadError, http_exceptions, web

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


def parse_boundary(content_type: str) -> bytes:
    """Return the boundary of a Content-Type; empty if it has none."""
    header = Message()
    header["Content-Type"] = content_type
    return str(header.get_param("boundary", "")).encode()


def parse_fields(content_type: str, body: bytes) -> Record:
    """Return the form's fields by name: strings, and bytes for parts with a file name."""
    boundary = parse_boundary(content_type)
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
