"""An account's posts as its platform lists them, each compared with a draft: how a post without a handle is found.

After a restore the database may not know that a post was sent. ``list_posts`` reads what the account published since a
time; the pipeline decides what that proves. A post that is not listed proves nothing.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from adapters.contract import Account, Draft, MediaFacts

PAGES = 5
"""Pages that one listing reads."""
LENGTH_MARGIN = 1.0
"""Seconds by which a platform's length of a video may differ from the probe's: some count whole seconds."""
Item = TypeVar("Item")
Cursor = TypeVar("Cursor")


class Asked(StrEnum):
    """The part of the account's posts that a platform was asked for, if any."""

    ALL = "all"  #: every post since the time was read
    PART = "part"  #: there are more posts than were read
    NOT = "not"  #: it could be asked, and was not
    NEVER = "never"  #: it has no list that could show this post


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedPost:
    """A live post of the account. True: it agrees with the draft; False: it differs; None: the platform shows it not.

    ``same_media`` compares what the platform shows of the files: their number and types, and a length or a size.
    """

    remote_id: str
    url: str | None
    created_at: datetime | None
    same_caption: bool | None
    same_kind: bool | None
    same_media: bool | None
    is_marked: bool | None = None
    """True: it carries this delivery's mark, False: another delivery's; None: it carries none."""
    same_time: bool | None = None
    """True if it was made when the delivery may have gone out; the pipeline compares that."""

    @property
    def agrees(self) -> bool:
        """True if caption, kind and media all agree."""
        return all((self.same_caption, self.same_kind, self.same_media))


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """The account's posts since a time. ``reason`` says why they are not all there."""

    posts: Sequence[ListedPost] = ()
    asked: Asked = Asked.ALL
    reason: str = ""
    clock_skew: timedelta = timedelta(seconds=5)
    """By how much the platform's times may lie before ours."""


class ListsPosts(Protocol):
    """The part of an adapter that lists."""

    def list_posts(self, draft: Draft, account: Account, since: datetime) -> Listing:
        """List the account's live posts made since *since*, compared with the draft; reads only, never by a handle."""


def read_pages(
    read: Callable[[Cursor | None], tuple[Sequence[Item], Cursor | None]],
    get_time: Callable[[Item], datetime | None],
    since: datetime,
) -> tuple[list[Item], Listing]:
    """Read a list, newest first, until *since*; return its items since then, and a listing that says if all were read.

    ``read(cursor)`` returns a page and the next cursor. An item without a time counts as since then.
    """
    found: list[Item] = []
    cursor: Cursor | None = None
    for _ in range(PAGES):
        page, cursor = read(cursor)
        times = [get_time(item) for item in page]
        found += [item for item, when in zip(page, times, strict=True) if when is None or when >= since]
        is_past = bool(times) and times[-1] is not None and times[-1] < since
        if cursor is None or is_past:
            return found, Listing()
    return found, Listing(
        asked=Asked.PART, reason=f"the account has more posts since then than {PAGES} pages"
    )


def fill(listing: Listing, posts: Sequence[ListedPost], clock_skew: timedelta) -> Listing:
    """Return the listing with its posts."""
    return replace(listing, posts=posts, clock_skew=clock_skew)


def compare_lengths(seconds: float | None, facts: MediaFacts | None) -> bool | None:
    """Return whether a listed video is as long as the draft's; None where one of the lengths is not known."""
    if not seconds or facts is None or facts.duration is None:
        return None
    return abs(seconds - facts.duration) <= LENGTH_MARGIN


def split_words(text: str | None) -> list[str]:
    """Return the words of *text*: two texts with the same words are equal, however a platform spaces them."""
    return unicodedata.normalize("NFC", text or "").split()
