"""Levels: which code understands all of a post.

A delivery stores the lowest level that understands all of its post and all that holds it. A process that releases,
claims or arms leaves a delivery above its own level where it is, so older code may delay a post and never sends it
without an option that it does not know.

A new option that changes the sent post, and a new hold that older code would not respect, raise ``LEVEL`` and get a row
of the table with the new number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

LEVEL = 3
"""The level of this code."""

_INTRODUCED: Mapping[int, str] = {
    1: """
        caption accounts scheduled_at expires_at on_late external_id music_url
        media.type media.url media.urls media.duration_sec media.bytes media.width media.height media.mime_type
        hold.prepared_early hold.rate hold.daily_quota hold.min_gap hold.slow_media hold.converting hold.shutdown
        hold.checking hold.storage hold.epoch hold.paused hold.newer_worker hold.breaker hold.backlog
        tiktok.title tiktok.description tiktok.post_mode tiktok.privacy_level tiktok.disable_comment
        tiktok.disable_duet tiktok.disable_stitch tiktok.auto_add_music tiktok.is_commercial
        tiktok.is_branded_content tiktok.user_consent tiktok.is_your_brand
        pinterest.board_id pinterest.title pinterest.link pinterest.tags
    """,
    2: """
        media.alt_texts media.fit
        youtube.title youtube.tags youtube.privacy youtube.made_for_kids youtube.category
        instagram.collaborators instagram.share_to_feed instagram.location_id
        facebook.title linkedin.visibility linkedin.title
    """,
    3: """
        ai_generated media.cover
    """,  # older code sends neither to Facebook, no cover to LinkedIn, and Pinterest a fraction that it refuses
}
"""Level -> the fields of a post, the options of its sections and the holds that it introduced."""
LEVELS: Mapping[str, int] = {name: level for level, names in _INTRODUCED.items() for name in names.split()}
"""Field, ``section.option`` or ``hold.name`` -> the level that introduced it."""


def find_level(
    media: Mapping[str, Any],
    options: Mapping[Any, Mapping[str, Any]],
    *,
    ai_generated: bool = False,
    holds: Iterable[str] = (),
) -> int:
    """Return the lowest level that understands a post and its *holds*. A name without a row needs this code."""
    names = [f"media.{name}" for name in media]
    names += [f"{section}.{name}" for section, sent in options.items() for name in sent]
    names += [f"hold.{hold}" for hold in holds]
    if ai_generated:
        names.append("ai_generated")
    return max([1, *(LEVELS.get(name, LEVEL) for name in names)])


def lower_level(most: int) -> int:
    """Return the level of a process whose setting allows *most* (0: no limit)."""
    return min(LEVEL, most) if most else LEVEL
