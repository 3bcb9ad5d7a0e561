"""Queries of GET /posts and GET /posts/export: filters, and the cursor of keyset pagination."""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import unquote
from uuid import UUID

from pipeline.api.http import timestamp
from pipeline.api.http.validation import build_invalid_payload, refuse_near_misses
from pipeline.domain.post import PostStatus
from pipeline.domain.validation_issue import build_issue
from pipeline.imports.export import ExportFormat

T = TypeVar("T")
C = TypeVar("C")
MAX_LIMIT, DEFAULT_LIMIT = 100, 50
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CURSOR = struct.Struct(">q16s4s")
_STATUSES = tuple(status.value for status in PostStatus)

Readers = Mapping[str, tuple[str, Any]]
"""The field and the parser of each parameter."""
Position = tuple[datetime, UUID]
"""Creation time and id of a post: the sort key of the list."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PostQuery:
    """Filters of a list of posts."""

    status: str | None = None
    limit: int = DEFAULT_LIMIT
    since: datetime | None = None
    until: datetime | None = None
    before: Position | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportQuery:
    """Filters of an export of posts, and its format."""

    form: ExportFormat = ExportFormat.NDJSON
    status: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def read_query(raw: bytes) -> PostQuery:
    """Parse the query of a list. Raises what ``read_values`` raises."""
    return PostQuery(**read_values(raw, _READERS))


def read_export_query(raw: bytes) -> ExportQuery:
    """Parse the query of an export. Raises what ``read_values`` raises."""
    return ExportQuery(**read_values(raw, _EXPORT_READERS))


def read_values(raw: bytes, readers: Readers) -> dict[str, Any]:
    """Parse a query string. Raises Refusal 422, also for a name that resembles a known one; other names are ignored."""
    refuse_near_misses(raw, readers)
    values: dict[str, Any] = {}
    issues: list[dict[str, Any]] = []
    for name, text in _parse_pairs(raw, readers):
        field, read = readers[name]
        try:
            if field in values:
                raise ValueError("It appears more than once in the query.")
            values[field] = read(text)
        except ValueError as error:
            issues.append(build_issue((name,), str(error), "value_error", text))
    if issues:
        raise build_invalid_payload(issues)
    return values


def cut_page(found: Sequence[T], limit: int, to_cursor: Callable[[T], C]) -> tuple[Sequence[T], C | None]:
    """Return the items of a page, and the cursor of the next one if more than *limit* were found."""
    shown = found[:limit]
    return shown, to_cursor(shown[-1]) if len(found) > limit else None


def write_cursor(position: Position) -> str:
    """Return the cursor of the page after *position*, opaque to the client."""
    created_at, post = position
    micros = (created_at - _EPOCH) // timedelta(microseconds=1)
    return base64.urlsafe_b64encode(_CURSOR.pack(micros, post.bytes, _checksum(micros, post))).decode()


def _parse_pairs(raw: bytes, known: Container[str]) -> Iterator[tuple[str, str]]:
    """Yield known names with their values. A + stays a +: clients send the offset of a time unescaped."""
    for part in raw.decode("latin-1").split("&"):
        name, _, text = part.partition("=")
        if name in known and text:
            yield name, unquote(text, errors="replace")


def _parse_status(text: str) -> str:
    if text not in _STATUSES:
        raise ValueError(f"Must be one of {', '.join(_STATUSES)}.")
    return text


def _parse_format(text: str) -> ExportFormat:
    try:
        return ExportFormat(text)
    except ValueError:
        raise ValueError(f"Must be one of {', '.join(ExportFormat)}.") from None


def parse_number(least: int, most: int) -> Callable[[str], int]:
    """Return the parser of a whole number in this range."""

    def read(text: str) -> int:
        plain = text.isascii() and text.isdigit() and len(text) <= 9  # noqa: PLR2004
        if not plain or not least <= int(text) <= most:
            raise ValueError(f"Must be a whole number from {least} to {most}.")
        return int(text)

    return read


def parse_cursor(text: str) -> Position:
    """Return the position of a cursor. Raises ValueError."""
    try:
        micros, identity, checksum = _CURSOR.unpack(base64.b64decode(text, altchars=b"-_", validate=True))
        post = UUID(bytes=identity)
        if checksum != _checksum(micros, post):
            raise ValueError
        return _EPOCH + timedelta(microseconds=micros), post
    except (ValueError, OverflowError, struct.error, binascii.Error):
        raise ValueError("Not a cursor: send next_cursor of the previous page unchanged.") from None


def _checksum(micros: int, post: UUID) -> bytes:
    """Return four bytes that tell a mistyped cursor. No secret: a forged cursor shows nothing the key may not list."""
    return hashlib.sha256(b"posts" + struct.pack(">q", micros) + post.bytes).digest()[:4]


_FILTERS: Readers = {
    "status": ("status", _parse_status),
    "since": ("since", timestamp.parse),
    "until": ("until", timestamp.parse),
}
_READERS: Readers = {
    **_FILTERS,
    "limit": ("limit", parse_number(1, MAX_LIMIT)),
    "cursor": ("before", parse_cursor),
}
_EXPORT_READERS: Readers = {**_FILTERS, "format": ("form", _parse_format)}
