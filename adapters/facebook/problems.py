"""Find the limits of Facebook Pages that a draft breaks. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from adapters.contract import Draft, Media, MediaFacts, Problem
from adapters.facebook import limits
from adapters.facebook.checkpoint import PostKind, get_post_kind
from adapters.problems import (
    check_cover,
    check_maximum,
    find_image_problems,
    name_field,
    refuse,
    warn,
    warn_of_ai_label,
    warn_of_alt_texts,
    warn_of_cover,
)


def find_problems(draft: Draft) -> list[Problem]:
    """Return all problems at once; an unknown media fact counts as within its limit."""
    found: list[Problem] = [*_warn_of_unused_options(draft), *_check_cover(draft)]
    found += (
        warn_of_alt_texts(draft, "A Facebook video")
        if draft.kind == "video"
        else warn_of_ai_label(draft, "A Facebook post of photos")
    )
    for index, media in enumerate(draft.media):
        field = name_field(draft, index)
        found += _check_is_image(media, field) if draft.kind == "slideshow" else []
        if media.facts is not None:
            found += (
                find_image_problems("Facebook", limits.PHOTO, media.facts, field)
                if media.kind == "image"
                else _check_video(media.facts, field)
            )
    return found


def _warn_of_unused_options(draft: Draft) -> Iterator[Problem]:
    if draft.kind != "video" and draft.options.get("title"):
        message = "Only videos have a title on Facebook; photos have the caption alone."
        yield warn("SETTING_HAS_NO_EFFECT", "facebook.title", message)


def _check_cover(draft: Draft) -> Iterator[Problem]:
    if not isinstance(draft.cover, Media):
        message = (
            "A Facebook video takes an image as its cover, not a second; Facebook chooses a frame of it."
        )
        yield from warn_of_cover(draft, message)
    elif get_post_kind(draft) is PostKind.REEL:
        yield from warn_of_cover(draft, "A reel's cover is not sent to Facebook; it chooses a frame of it.")
    else:
        yield from check_cover(draft, "Facebook", limits.COVER_TYPES, limits.COVER_BYTES)


def _check_is_image(media: Media, field: str) -> Iterator[Problem]:
    if media.kind == "video":
        yield refuse(field, "A Facebook slideshow takes images only; this is a video.", "image", "video")


def _check_video(facts: MediaFacts, field: str) -> Iterator[Problem]:
    yield from check_maximum(field, "Facebook takes videos", "bytes", facts.bytes, limits.VIDEO_BYTES)
    yield from check_maximum(field, "Facebook takes videos", "seconds", facts.duration, limits.VIDEO_SECONDS)
