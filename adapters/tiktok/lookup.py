"""Telling from what TikTok shows whether a publish went out: states, lists of public posts, pauses. Pure.

A publish whose answer was lost before its id came can only be found among the account's public posts: by its whole
text and kind, not older than a minute before it was armed, and only when exactly one post fits.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from adapters.contract import CannotTell, Published
from adapters.tiktok.limits import CAPABILITIES
from adapters.tiktok.wire import BusinessItem, ListedVideo

CLOCK_MARGIN = 60.0
"""Seconds a platform's ``create_time`` may lie before our own clock's word for the moment of arming."""
CUT_AT = 140
"""``video/list`` cuts texts "to about 150" characters: of a text this long the end may be missing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """One post of a list that fits."""

    id: str
    url: str | None


def pause(armed_at: datetime, now: float) -> timedelta:
    """How long until the next look: a quarter of the time already waited, between five and sixty seconds."""
    first, longest = CAPABILITIES.look_every
    return min(max(timedelta(seconds=(now - armed_at.timestamp()) / 4), first), longest)


def earliest(armed_at: datetime) -> float:
    """The earliest ``create_time`` a post of this attempt can have."""
    return armed_at.timestamp() - CLOCK_MARGIN


def judged(hits: Sequence[Found], taken: Container[str]) -> Published | CannotTell:
    """Published for exactly one post that no other delivery owns; otherwise nothing is known."""
    free = {hit.id: hit for hit in hits if hit.id not in taken}
    if len(free) == 1:
        (hit,) = free.values()
        return Published(remote_id=hit.id, url=hit.url)
    if free:
        return CannotTell(
            reason=f"{len(free)} public posts of this account fit: which one is this, nobody can tell"
        )
    return CannotTell(reason="no public post of this account fits (yet); that proves nothing")


def fits_photo(item: ListedVideo, title: str, description: str, since: float) -> bool:
    """Whether a listed post of a creator is the photo post with these texts."""
    if item.create_time < since or not (item.title or item.video_description):
        return False
    return _is_title(item.title, title, description) and _is_description(
        item.video_description, title, description
    )


def _is_title(seen: str | None, title: str, description: str) -> bool:
    return not seen or seen.strip() == title.strip() or _is_whole(seen, description)


def _is_description(seen: str | None, title: str, description: str) -> bool:
    texts = (description, f"{title} {description}", f"{title}\n{description}")
    return not seen or any(_is_whole(seen, text) for text in texts)


def _is_whole(seen: str, text: str) -> bool:
    begins = len(seen) >= CUT_AT and text.strip().startswith(seen.strip().rstrip("….").rstrip())
    return begins or seen.strip() == text.strip()


def fits_business(item: BusinessItem, caption: str, *, is_video: bool, since: float) -> bool:
    """Whether a listed post of a business account has this caption and kind. A missing kind excludes nothing."""
    if item.create_time < since or (item.caption or "").strip() != caption.strip():
        return False
    return not item.media_type or ("video" in item.media_type.lower()) is is_video
