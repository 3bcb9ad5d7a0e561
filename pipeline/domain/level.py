"""Levels: which code understands all of a post, or of a steering job.

A delivery stores the lowest level that understands all of its post and all that holds it. A process that releases,
claims or arms leaves a delivery above its own level where it is, so older code may delay a post and never sends it
without an option that it does not know. A steering job stores the lowest level that understands its verb, its filter
and its arguments, and workers below that leave it to newer ones.

A new option that changes the sent post, a new hold that older code would not respect, and a new verb, field of the
filter or argument of steering raise ``LEVEL`` and get a row of the table with the new number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

LEVEL = 6
"""The level of this code."""

_INTRODUCED: Mapping[int, str] = {
    1: """
        caption accounts scheduled_at expires_at on_late external_id music_url
        media.type media.type.video media.type.slideshow
        media.url media.urls media.duration_sec media.bytes media.width media.height media.mime_type
        hold.prepared_early hold.rate hold.daily_quota hold.min_gap hold.slow_media hold.converting hold.shutdown
        hold.checking hold.storage hold.vault hold.epoch hold.paused hold.locked hold.newer_worker
        hold.breaker hold.backlog
        tiktok.title tiktok.description tiktok.post_mode tiktok.privacy_level tiktok.disable_comment
        tiktok.disable_duet tiktok.disable_stitch tiktok.auto_add_music tiktok.is_commercial
        tiktok.is_branded_content tiktok.user_consent tiktok.is_your_brand
        pinterest.board_id pinterest.title pinterest.link pinterest.tags
        verb.cancel verb.retry verb.reschedule verb.pause verb.resume verb.replay verb.discard
        argument.shift_seconds argument.start argument.end argument.why argument.per_minute
        filter.platform filter.account filter.import_id filter.status filter.state filter.reason filter.held_for
        filter.error_class filter.code filter.discarded filter.deliveries filter.posts filter.unsent filter.is_open
        filter.text filter.due_from filter.due_until filter.late_from filter.late_until filter.older filter.younger
    """,  # a lock is stored as the pause of a workspace, which older code keeps
    2: """
        media.alt_texts media.fit
        youtube.title youtube.tags youtube.privacy youtube.made_for_kids youtube.category
        instagram.collaborators instagram.share_to_feed instagram.location_id
        facebook.title linkedin.visibility linkedin.title
    """,
    3: """
        ai_generated media.cover
    """,  # older code sends neither to Facebook, no cover to LinkedIn, and Pinterest a fraction that it refuses
    4: """
        media.type.text media.type.document media.title facebook.link linkedin.link
        verb.undo argument.undoes argument.undone argument.to_times
        filter.goes_out filter.created_from filter.created_until
        draft accounts.caption accounts.media accounts.scheduled_at
        accounts.tiktok accounts.pinterest accounts.youtube accounts.instagram accounts.facebook accounts.linkedin
        tiktok.deliver_as
        instagram.placement facebook.placement
        pinterest.board_section_id youtube.playlist_id youtube.notify_subscribers
    """,  # older code sends to each account what the post says, and a story as a post
    5: """
        first_comment accounts.first_comment
    """,  # older code leaves the comment out
    6: """
        hold.approval verb.approve
    """,  # older code sends what was not approved
}
"""Level -> the fields of a post, the options of its sections, the holds and what steers that it introduced."""
LEVELS: Mapping[str, int] = {name: level for level, names in _INTRODUCED.items() for name in names.split()}
"""Field, ``section.option`` or another name with its kind -> the level that introduced it."""


def find_level(
    media: Mapping[str, Any],
    options: Mapping[Any, Mapping[str, Any]],
    *,
    post_wide: Iterable[str] = (),
    holds: Iterable[str] = (),
    entries: Iterable[str] = (),
) -> int:
    """Return the lowest level that understands a post and its *holds*. A name without a row needs this code.

    *post_wide*: the names of the options that it sets for all accounts; *entries*: of what entries of its accounts
    carry of their own.
    """
    names = [f"media.{name}" for name in media]
    names += [f"media.type.{media['type']}"] if "type" in media else []
    names += [f"{section}.{name}" for section, sent in options.items() for name in sent]
    names += [f"hold.{hold}" for hold in holds]
    names += [f"accounts.{name}" for name in entries]
    return _find_newest([*names, *post_wide])


def find_post_level(content: int, *, is_draft: bool, needs_approval: bool) -> int:
    """Return the lowest level that understands a post with *content* of that level, and what holds it."""
    holds = {"draft": is_draft, "hold.approval": needs_approval}
    return max(content, *(LEVELS[name] for name, is_held in holds.items() if is_held), 1)


def find_job_level(verb: str, filters: Iterable[str], arguments: Iterable[str]) -> int:
    """Return the lowest level that understands a steering job. A name without a row needs this code."""
    names = (f"filter.{name}" for name in filters), (f"argument.{name}" for name in arguments)
    return _find_newest([f"verb.{verb}", *names[0], *names[1]])


def _find_newest(names: Iterable[str]) -> int:
    return max([1, *(LEVELS.get(name, LEVEL) for name in names)])


def lower_level(most: int) -> int:
    """Return the level of a process whose setting allows *most* (0: no limit)."""
    return min(LEVEL, most) if most else LEVEL
