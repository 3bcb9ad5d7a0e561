"""Neighbours of a post: what its accounts have due around it that is too close to it, or says or shows the same.

Contents are compared by 64 bits of a digest. Of the posts of an account those next to a time are looked at, ``MOST`` on
each side and within a day or the account's least gap, so that a full day costs no more than these.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from enum import IntEnum
from hashlib import blake2b
from typing import NamedTuple
from uuid import UUID

from pydantic_core import to_json

DAY = timedelta(days=1)
MOST = 10
"""Posts of one account that are compared on each side of a time."""


class Match(IntEnum):
    """What makes a post a neighbour of another."""

    GAP = 1
    """They are due within the least gap of their account."""
    CAPTION = 2
    MEDIA = 4


_MATCHES = tuple(Match)


class Neighbour(NamedTuple):
    """A neighbour: a post that is stored, by its id, or one of a list, by its number."""

    match: int
    """The sum of its matches."""
    post: UUID | int
    due_at: datetime


class Content(NamedTuple):
    """The digests of what an account publishes. None: it is empty, and equals no other."""

    caption: int | None
    media: int | None


EMPTY = Content(None, None)


class Part(NamedTuple):
    """One account's part of a post: ``post`` is its id, or its number in a list; None: it has neither yet."""

    post: UUID | int | None
    account_id: UUID
    due_at: datetime
    least_gap: timedelta
    content: Content


def digest_content(caption: str, urls: Sequence[str]) -> Content:
    """Return the digests of a caption and of the URLs of media, in order."""
    return Content(_digest(caption.encode()) if caption else None, _digest(to_json(urls)) if urls else None)


def _digest(content: bytes) -> int:
    return int.from_bytes(blake2b(content, digest_size=8).digest(), signed=True)


def find_nearest(found: Iterable[Neighbour], due_at: datetime) -> dict[Match, Neighbour]:
    """Return the nearest neighbour of each match."""
    nearest: dict[Match, Neighbour] = {}
    for one in sorted(found, key=lambda one: abs(one.due_at - due_at)):
        for match in _MATCHES:
            if one.match & match:
                nearest.setdefault(match, one)
    return nearest


class Lines:
    """The parts of a list of posts by account, in due order."""

    def __init__(self, most: int) -> None:
        """*most*: parts that are kept; all are forgotten when there are more."""
        self._most, self._size = most, 0
        self._lines: dict[UUID, list[tuple[datetime, int, Part]]] = {}

    def add(self, part: Part) -> list[Neighbour]:
        """Add a part; return its neighbours among those that were added before it."""
        if self._size >= self._most:
            self._lines, self._size = {}, 0
        line = self._lines.setdefault(part.account_id, [])
        at = bisect_left(line, (part.due_at, self._size))
        near = line[max(0, at - MOST) : at + MOST]
        line.insert(at, (part.due_at, self._size, part))
        self._size += 1
        compared = [(_compare(part, other), other) for _, _, other in near if other.post != part.post]
        return [Neighbour(match, o.post, o.due_at) for match, o in compared if match and o.post is not None]


def _compare(part: Part, other: Part) -> int:
    """Return the sum of the matches of another part of the account."""
    apart = abs(part.due_at - other.due_at)
    found = int(Match.GAP) if apart < part.least_gap or not apart else 0
    if apart < DAY:
        (words, shown), (others, seen) = part.content, other.content
        found += Match.CAPTION if words == others is not None else 0
        found += Match.MEDIA if shown == seen is not None else 0
    return found
