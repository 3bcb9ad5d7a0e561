"""The query of GET /posts: its filters, and the cursor that says where the last page ended."""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote
from uuid import UUID

from pipeline.api.http import timestamp
from pipeline.api.posts.schema import invalid
from pipeline.api.posts.validation_issue import issue
from pipeline.domain.post import PostStatus

MOST, USUAL = 100, 50
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CURSOR = struct.Struct(">q16s4s")
_STATUSES = tuple(status.value for status in PostStatus)

Position = tuple[datetime, UUID]
"""Creation time and id of a post: what the list is ordered by."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """Which posts to list."""

    status: str | None = None
    limit: int = USUAL
    since: datetime | None = None
    until: datetime | None = None
    before: Position | None = None


def read_query(raw: bytes) -> Wanted:
    """What the query string asks for; names we do not know are left alone. Raises Refusal 422."""
    values: dict[str, Any] = {}
    issues: list[dict[str, Any]] = []
    for name, text in _pairs(raw):
        field, read = _READERS[name]
        try:
            if field in values:
                raise ValueError("It stands twice in the query.")
            values[field] = read(text)
        except ValueError as error:
            issues.append(issue((name,), str(error), "value_error", text))
    if issues:
        raise invalid(issues)
    return Wanted(**values)


def write_cursor(position: Position) -> str:
    """Where a page ended, opaque to the client."""
    created_at, post = position
    micros = (created_at - _EPOCH) // timedelta(microseconds=1)
    return base64.urlsafe_b64encode(_CURSOR.pack(micros, post.bytes, _mark(micros, post))).decode()


def _pairs(raw: bytes) -> Iterator[tuple[str, str]]:
    """Known names and their values. A + stays a +: clients send times with an offset unescaped."""
    for part in raw.decode("latin-1").split("&"):
        name, _, text = part.partition("=")
        if name in _READERS and text:
            yield name, unquote(text, errors="replace")


def _status(text: str) -> str:
    if text not in _STATUSES:
        raise ValueError(f"Must be one of {', '.join(_STATUSES)}.")
    return text


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and 1 <= int(text) <= MOST):  # noqa: PLR2004
        raise ValueError(f"Must be a whole number from 1 to {MOST}.")
    return int(text)


def _before(text: str) -> Position:
    try:
        micros, identity, mark = _CURSOR.unpack(base64.b64decode(text, altchars=b"-_", validate=True))
        post = UUID(bytes=identity)
        if mark != _mark(micros, post):
            raise ValueError
        return _EPOCH + timedelta(microseconds=micros), post
    except (ValueError, OverflowError, struct.error, binascii.Error):
        raise ValueError("Not a cursor: take next_cursor of the page before, as it is.") from None


def _mark(micros: int, post: UUID) -> bytes:
    """Tells typing errors from cursors. No secret: a made-up cursor shows nothing that the key may not list."""
    return hashlib.sha256(b"posts" + struct.pack(">q", micros) + post.bytes).digest()[:4]


_READERS: Mapping[str, tuple[str, Any]] = {
    "status": ("status", _status),
    "limit": ("limit", _limit),
    "since": ("since", timestamp.read),
    "until": ("until", timestamp.read),
    "cursor": ("before", _before),
}
