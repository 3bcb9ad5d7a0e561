"""Queries of GET /posts and GET /posts/export: filters, and the cursors of keyset pagination."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import struct
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Annotated, Any, TypeVar
from uuid import UUID

from pydantic import Field

from adapters.contract import Platform
from pipeline.api.http import timestamp
from pipeline.api.http.dependencies import parse_id
from pipeline.api.http.response_models import PUBLIC_STATES
from pipeline.api.http.validation import ReadBy, TextQuery, one_of_words, whole_number
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
MAX_WORDS, MAX_CLASS = 200, 100
"""The longest text to search for, and name of a class of errors."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CURSOR = struct.Struct(">q16s4s")

Position = tuple[datetime, UUID]
"""Creation time and id of a post: the sort key of the list."""


def to_ledger(state: str) -> State:
    """Return the state that the API spells so."""
    return next(one for one in State if to_public(one) == state)


def _read_words(most: int) -> ReadBy:
    def read(text: str) -> str:
        if "\0" in text:
            raise ValueError("It holds a NUL character.")
        if len(text) > most:
            raise ValueError(f"It has {len(text):,} characters; at most {most} are allowed.")
        return text

    return ReadBy(read, {"type": "string", "minLength": 1, "maxLength": most})


def _parse_uuid(text: str) -> UUID:
    if (found := parse_id(text)) is None:
        raise ValueError("Must be a UUID such as 0f4f54d4-8cce-4fb7-8c7b-befbcb8af812.")
    return found


_Time = Annotated[datetime, ReadBy(timestamp.parse, {"type": "string", "format": "date-time"})]
_Id = Annotated[UUID, ReadBy(_parse_uuid, {"type": "string", "format": "uuid"})]
_Status = Annotated[
    Annotated[str, one_of_words([*PostStatus])] | None, Field(description="Only posts of this status.")
]
_Since = Annotated[
    _Time | None, Field(description="Created at or after, with an offset whose + may be unescaped.")
]
_Until = Annotated[_Time | None, Field(description="Created at or before.")]
STORED = {"since": "created_from", "until": "created_until", "account_id": "account", "due_to": "due_until"}
"""Name of a filter in the API -> in ``ListFilter``, where they differ."""


class PostQuery(TextQuery):
    """A page of a list of posts."""

    words = ("text", "external_id")
    status: _Status = None
    since: _Since = None
    until: _Until = None
    platform: Annotated[str, one_of_words([*map(str, Platform)])] | None = Field(
        None, description="Only posts to this platform."
    )
    account_id: _Id | None = Field(
        None, description="Only posts to this account. With it the newest at the account come first."
    )
    external_id: Annotated[str, _read_words(MAX_EXTERNAL_ID)] | None = Field(
        None, description="Only the post that was sent with exactly this external_id."
    )
    import_id: _Id | None = Field(None, description="Only posts that this import created.")
    state: Annotated[State, one_of_words(PUBLIC_STATES, to_ledger)] | None = Field(
        None, description="Only posts in this state at an account."
    )
    held_for: Annotated[str, one_of_words((*map(str, Hold), NO_HOLD))] | None = Field(
        None,
        description="Only posts that this holds at an account, as held_for of the account says; none: nothing holds "
        "it.",
    )
    error_class: Annotated[str, _read_words(MAX_CLASS)] | None = Field(
        None,
        description="Only posts whose last error at an account is of this class, as error.class says: Rejected, "
        "Unavailable. none: it has no error.",
    )
    due_from: _Time | None = Field(None, description="Due at this time or later; drafts never are.")
    due_to: _Time | None = Field(None, description="Due before this time.")
    text: Annotated[str, _read_words(MAX_WORDS)] | None = Field(
        None,
        description="Only posts with this text in their caption, titles or external_id, in either case. No character "
        "is special.",
    )
    sort: Annotated[Order, one_of_words([*Order], Order)] = Field(
        Order.CREATED,
        description="created: the newest first. due: the first due first, what is over included, and drafts last; "
        "due_from=<now> lists what is to come.",
    )
    limit: Annotated[int, whole_number(1, MAX_LIMIT)] = Field(
        DEFAULT_LIMIT, description="Number of posts on the page, at most."
    )
    cursor: Annotated[str, ReadBy(str, {"type": "string"})] | None = Field(
        None, description="next_cursor of the previous page."
    )

    @cached_property
    def chosen(self) -> ListFilter:
        """The filter, without the scope of the key."""
        given = self.model_dump(exclude={"external_id", "sort", "limit", "cursor"})
        return ListFilter(**{STORED.get(name, name): value for name, value in given.items()})

    @property
    def is_plain(self) -> bool:
        """Return True if no filter but status, since and until is given, nor another order."""
        return self.external_id is None and is_plain(self.chosen, self.sort)

    def describe_list(self, caller: Caller) -> bytes:
        """Return what its cursors are bound to: all that makes the list, but the number of posts on a page."""
        accounts = None if caller.accounts is None else [*map(str, caller.accounts)]
        parts = [str(caller.workspace_id), accounts, self.sort, self.external_id, dump_filter(self.chosen)]
        return json.dumps(parts, sort_keys=True).encode()

    def find_conflicts(self) -> Iterator[dict[str, Any]]:
        """Refuse filters that contradict each other."""
        spans = (
            ("until", "since", self.since, self.until, timedelta(0)),
            ("due_to", "due_from", self.due_from, self.due_to, timedelta(microseconds=1)),
        )
        for end, start, first, last, least in spans:
            if first is not None and last is not None and last - first < least:
                yield build_issue((end,), f"It must be later than {start}.", "value_error", last.isoformat())
        if not list_statuses(self.chosen):
            names = ("status", "state", "held_for", "error_class")
            given = [name for name in names if getattr(self, name) is not None]
            found = ", ".join(f"{name}={to_public(getattr(self, name))}" for name in given)
            for name in given:
                yield build_issue((name,), f"No post can meet all of {found}: leave one out.", "value_error")


class ExportQuery(TextQuery):
    """Filters of an export of posts, and its format."""

    format: Annotated[ExportFormat, one_of_words([*ExportFormat], ExportFormat)] = Field(
        ExportFormat.NDJSON, description="NDJSON: the body of a POST /posts on each line."
    )
    status: _Status = None
    since: _Since = None
    until: _Until = None


def cut_page(found: Sequence[T], limit: int, to_cursor: Callable[[T], C]) -> tuple[Sequence[T], C | None]:
    """Return the items of a page, and the cursor of the next one if more than *limit* were found."""
    shown = found[:limit]
    return shown, to_cursor(shown[-1]) if len(found) > limit else None


def write_cursor(position: Position) -> str:
    """Return the cursor of the page after *position*, opaque to the client."""
    created_at, post = position
    micros = (created_at - _EPOCH) // timedelta(microseconds=1)
    return base64.urlsafe_b64encode(_CURSOR.pack(micros, post.bytes, _checksum(micros, post))).decode()


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
