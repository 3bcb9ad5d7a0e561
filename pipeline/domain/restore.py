"""Restores from a backup: how one is recognised before anything is sent twice, and what a listing proves afterwards.

An epoch is a UUID, a number that grows, and a time until which posts may be sent. It is kept twice: in the database,
and in a file outside it that no backup holds. A number is committed in the database before it is written to the file,
and nothing is sent at or after the file's ``until``. So if the file holds a number that the database does not know,
posts were sent after the state that the database is in: it was restored. Then deliveries may be live that it believes
unsent, and a listing of their account's posts is compared with them. Pure.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from adapters.contract import CannotTell, Published
from adapters.listing import Asked, ListedPost, Listing


@dataclass(frozen=True, kw_only=True, slots=True)
class Epoch:
    """The content of the epoch file. ``until``: nothing was sent at or after this time, by the database's clock."""

    id: UUID
    number: int
    until: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredEpoch:
    """The epoch that the database holds."""

    id: UUID | None
    number: int
    """The newest number that it ever committed for the file."""
    until: datetime | None
    moved: bool
    """The row is not the one that the send guard wrote: it came out of a dump, or the database was copied."""


class EpochMatch(StrEnum):
    """The result of comparing both."""

    IN_STEP = "in step"
    NEW = "new"  #: there is no epoch yet, in neither of them
    RESTORED = "restored"  #: the file was written by a later state of this database, or by another database
    LOST = "lost"  #: there was an epoch file, and it is gone


def compare_epochs(stored: StoredEpoch, in_file: Epoch | None) -> EpochMatch:
    """Compare the database's epoch with the file's.

    A file behind the database is in step: the process that died between the two had not sent anything by the new
    number.
    """
    if stored.id is None:
        return EpochMatch.NEW if in_file is None else EpochMatch.RESTORED
    if in_file is None:
        never_written = stored.until is None and not stored.moved
        return EpochMatch.IN_STEP if never_written else EpochMatch.LOST
    known = in_file.id == stored.id and in_file.number <= stored.number
    return EpochMatch.IN_STEP if known and not stored.moved else EpochMatch.RESTORED


_POINTS = {True: 1, None: 0, False: -1}


def evaluate_listing(
    listing: Listing,
    platform: str,
    *,
    since: datetime,
    due: datetime,
    until: datetime,
    taken: Container[str],
    is_twin: bool,
) -> Published | CannotTell:
    """Return Published for exactly one post that no other delivery owns and that is this delivery's; else candidates.

    It is this delivery's if it carries its mark, or if caption, kind and media agree and it was made between *due* and
    *until*, after which nothing that was sent before the restore appears. A twin (another unresolved delivery with the
    same text and account) is known by its mark only, and so is a post in a list that was not read to its end. A post
    that is not listed proves nothing.
    """
    earliest, latest = due.replace(microsecond=0) - listing.clock_skew, until + listing.clock_skew
    free = [
        replace(post, same_time=None if post.created_at is None else earliest <= post.created_at <= latest)
        for post in listing.posts
        if post.is_marked is not False and post.remote_id not in taken
    ]
    ours = [post for post in free if post.is_marked]
    if not ours and not is_twin and listing.asked is Asked.ALL:
        ours = [post for post in free if post.agrees and post.same_time]
    if len(ours) == 1:
        return Published(remote_id=ours[0].remote_id, url=ours[0].url)
    candidates = sorted(free, key=lambda post: score(post, due), reverse=True)
    reason = _describe(listing, platform, candidates, since)
    if is_twin:
        reason += " Another post with this text may have gone out on this account too."
    return CannotTell(reason=reason, candidates=candidates)


def is_likely(post: ListedPost) -> bool:
    """Return True if a candidate carries the delivery's mark, or if nothing that the platform shows of it differs."""
    return bool(post.is_marked) or False not in _list_parts(post)


def score(post: ListedPost, due: datetime) -> tuple[bool, bool, int, int, float]:
    """Return how well a candidate matches: the mark, nothing that differs, the caption, the other parts, the time."""
    distance = abs((post.created_at - due).total_seconds()) if post.created_at else float("inf")
    points = sum(_POINTS[part] for part in _list_parts(post))
    return bool(post.is_marked), is_likely(post), _POINTS[post.same_caption], points, -distance


def _list_parts(post: ListedPost) -> tuple[bool | None, ...]:
    return post.same_caption, post.same_kind, post.same_media, post.same_time


def _describe(listing: Listing, platform: str, candidates: Sequence[ListedPost], since: datetime) -> str:
    """Return the sentence for an operator: whether the platform was asked, and what it lists."""
    if listing.asked is Asked.NEVER:
        return f"{platform} cannot be asked: {listing.reason}."
    if listing.asked is Asked.NOT:
        return f"{platform} was not asked: {listing.reason}."
    start = since.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    part = "" if listing.asked is Asked.ALL else f", but not to the end ({listing.reason})"
    likely = sum(is_likely(post) for post in candidates)
    found = f"{likely} that could be this one; nothing proves it"
    if not likely:
        found = "none that could be this one, which proves nothing"
    if unlikely := len(candidates) - likely:
        found += f"; {unlikely} more {'differs' if unlikely == 1 else 'differ'} in text, kind, media or time"
    return f"{platform} was asked for the account's posts since {start}{part}. It lists {found}."


Candidate = Mapping[str, Any]
"""A candidate as it is stored with the error."""
_WORDS = {False: "differs", None: "not shown"}


def split_candidates(error: Mapping[str, Any] | None) -> tuple[list[Candidate], list[Candidate]]:
    """Return the candidates of a stored error: posts that could be the delivery, and posts that differ from it."""
    found: Sequence[Candidate] = (error or {}).get("candidates", ())
    likely = [one for one in found if one.get("likely", True)]
    return likely, [one for one in found if one not in likely]


def describe_candidate(one: Candidate) -> str:
    """Return how a candidate compares with the delivery, in a few words."""
    parts = {name: one.get(f"same_{name}") for name in ("caption", "kind", "media", "time")}
    differences = [f"{name} {_WORDS[same]}" for name, same in parts.items() if same is not True]
    return ", ".join(differences) or "all agrees"
