"""Queries of GET /posts and GET /posts/export: filters, and the cursors of keyset pagination."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import struct
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import unquote_to_bytes
from uuid import UUID

from adapters.contract import Platform
from pipeline.api.http import timestamp
from pipeline.api.http.dependencies import parse_id
from pipeline.api.http.response_models import PUBLIC_STATES
from pipeline.api.http.validation import build_invalid_payload, refuse_near_misses
from pipeline.api.posts.schema import MAX_EXTERNAL_ID
from pipeline.domain.delivery import State, to_public
from pipeline.domain.hold import Hold
from pipeline.domain.post import PostStatus
from pipeline.domain.validation_issue import build_issue
from pipeline.imports.export import ExportFormat
from pipeline.store.auth.keys import Caller
from pipeline.store.deliveries.selection import NO_HOLD, ListFilter, Order
from pipeline.store.posts.listing import is_plain, list_statuses
from pipeline.store.steering.jobs import dump_filter

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
    """A page of a list of posts."""

    chosen: ListFilter = field(default_factory=ListFilter)
    """Without the scope of the key."""
    external_id: str | None = None
    order: Order = Order.CREATED
    limit: int = DEFAULT_LIMIT
    cursor: str | None = None

    @property
    def is_plain(self) -> bool:
        """Return True if no filter but status, since and until is given, nor another order."""
        return self.external_id is None and is_plain(self.chosen, self.order)

    def describe(self, caller: Caller) -> bytes:
        """Return what its cursors are bound to: all that makes the list, but the number of posts on a page."""
        accounts = None if caller.accounts is None else [*map(str, caller.accounts)]
        parts = [str(caller.workspace_id), accounts, self.order, self.external_id, dump_filter(self.chosen)]
        return json.dumps(parts, sort_keys=True).encode()


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportQuery:
    """Filters of an export of posts, and its format."""

    form: ExportFormat = ExportFormat.NDJSON
    status: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def read_query(raw: bytes) -> PostQuery:
    """Parse the query of a list. Raises what ``read_values`` raises, also for filters that contradict each other."""
    values = read_values(raw, READERS)
    page = {name: values.pop(name) for name in ("external_id", "order", "limit", "cursor") if name in values}
    chosen = ListFilter(**values)
    if issues := [*_find_contradictions(chosen)]:
        raise build_invalid_payload(issues)
    return PostQuery(chosen=chosen, **page)


def _find_contradictions(chosen: ListFilter) -> Iterator[dict[str, Any]]:
    spans = (
        ("until", "since", chosen.created_from, chosen.created_until, timedelta(0)),
        ("due_to", "due_from", chosen.due_from, chosen.due_until, timedelta(microseconds=1)),
    )
    for end, start, first, last, least in spans:
        if first is not None and last is not None and last - first < least:
            yield build_issue((end,), f"It must be later than {start}.", "value_error", last.isoformat())
    if not list_statuses(chosen):
        given = [n for n in ("status", "state", "held_for", "error_class") if getattr(chosen, n) is not None]
        found = ", ".join(f"{name}={to_public(getattr(chosen, name))}" for name in given)
        for name in given:
            yield build_issue((name,), f"No post can meet all of {found}: leave one out.", "value_error")


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
    """Yield known names with their values. A + stays a + but in words: clients send the offset of a time unescaped."""
    for part in raw.split(b"&"):
        name, _, value = part.partition(b"=")
        found = name.decode("latin-1")
        if found in known and value:
            plain = value.replace(b"+", b" ") if found in _WORDS else value
            yield found, unquote_to_bytes(plain).decode("utf-8", "replace")


def parse_one_of(names: Sequence[str]) -> Callable[[str], str]:
    """Return the parser of one of these words."""

    def read(text: str) -> str:
        if text not in names:
            raise ValueError(f"Must be one of {', '.join(names)}.")
        return text

    return read


def _parse_words(most: int) -> Callable[[str], str]:
    def read(text: str) -> str:
        if "\0" in text:
            raise ValueError("It holds a NUL character.")
        if len(text) > most:
            raise ValueError(f"It has {len(text):,} characters; at most {most} are allowed.")
        return text

    return read


def parse_uuid(text: str) -> UUID:
    """Return an id. Raises ValueError."""
    if (found := parse_id(text)) is None:
        raise ValueError("Must be a UUID such as 0f4f54d4-8cce-4fb7-8c7b-befbcb8af812.")
    return found


def _parse_state(text: str) -> State:
    return next(one for one in State if to_public(one) == parse_one_of(PUBLIC_STATES)(text))


def _parse_order(text: str) -> Order:
    return Order(parse_one_of([*Order])(text))


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


MAX_WORDS, MAX_CLASS = 200, 100
"""The longest text to search for, and name of a class of errors."""
HOLDS = (*map(str, Hold), NO_HOLD)
_WORDS = frozenset({"text", "external_id"})
"""Parameters that people type: a + is a blank there, as forms and most libraries send it."""
READERS: Readers = {
    "status": ("status", parse_one_of(_STATUSES)),
    "since": ("created_from", timestamp.parse),
    "until": ("created_until", timestamp.parse),
    "platform": ("platform", parse_one_of([*map(str, Platform)])),
    "account_id": ("account", parse_uuid),
    "external_id": ("external_id", _parse_words(MAX_EXTERNAL_ID)),
    "import_id": ("import_id", parse_uuid),
    "state": ("state", _parse_state),
    "held_for": ("held_for", parse_one_of(HOLDS)),
    "error_class": ("error_class", _parse_words(MAX_CLASS)),
    "due_from": ("due_from", timestamp.parse),
    "due_to": ("due_until", timestamp.parse),
    "text": ("text", _parse_words(MAX_WORDS)),
    "sort": ("order", _parse_order),
    "limit": ("limit", parse_number(1, MAX_LIMIT)),
    "cursor": ("cursor", str),
}
"""The parameters of a list of posts; their fields are those of ``ListFilter`` and `PostQuery`."""
_EXPORT_READERS: Readers = {
    "status": READERS["status"],
    "since": ("since", timestamp.parse),
    "until": ("until", timestamp.parse),
    "format": ("form", _parse_format),
}
