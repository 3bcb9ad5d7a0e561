"""Find the limits of Facebook Pages that a draft breaks. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from adapters.contract import Account, Draft, Media, MediaFacts, Problem
from adapters.facebook import limits
from adapters.facebook.checkpoint import PostKind, get_post_kind
from adapters.graph_stories import find_story_problems, is_story
from adapters.problems import (
    check_allowed,
    check_cover,
    check_maximum,
    check_range,
    compute_ratio,
    find_image_problems,
    name_field,
    refuse,
    warn,
    warn_of_ai_label,
    warn_of_alt_texts,
    warn_of_cover,
)


def find_problems(draft: Draft, _account: Account) -> list[Problem]:
    """Return all problems at once; an unknown media fact counts as within its limit."""
    found: list[Problem] = list(_check_story(draft) if is_story(draft) else _check_post(draft))
    check_video = _check_story_video if is_story(draft) else _check_video
    for index, media in enumerate(draft.media):
        field = name_field(draft, index)
        found += _check_is_image(media, field) if draft.kind == "slideshow" else []
        if media.facts is not None:
            found += (
                find_image_problems("Facebook", limits.PHOTO, media.facts, field)
                if media.kind == "image"
                else check_video(media.facts, field)
            )
    return found


def _check_story(draft: Draft) -> Iterator[Problem]:
    yield from find_story_problems(draft, "Facebook", ("title", "link"))
    if draft.kind != "video":
        yield from warn_of_ai_label(draft, "A Facebook story of a photo")


def _check_post(draft: Draft) -> Iterator[Problem]:
    yield from (*_warn_of_unused_options(draft), *_check_link(draft), *_check_cover(draft))
    if draft.kind == "video":
        yield from warn_of_alt_texts(draft, "A Facebook video")
    else:
        yield from warn_of_ai_label(draft, f"A Facebook post of {'photos' if draft.media else 'text'}")


def _warn_of_unused_options(draft: Draft) -> Iterator[Problem]:
    if draft.kind != "video" and draft.options.get("title"):
        message = "Only videos have a title on Facebook; other posts have the caption alone."
        yield warn("SETTING_HAS_NO_EFFECT", "facebook.title", message)


def _check_link(draft: Draft) -> Iterator[Problem]:
    host = urlsplit(str(draft.options.get("link") or "")).hostname or ""
    if any(host == one or host.endswith(f".{one}") for one in limits.REFUSED_LINKS):
        message = f"Facebook takes no links to itself; this one leads to {host}."
        yield refuse("facebook.link", message, "another site", host)


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


def _check_story_video(facts: MediaFacts, field: str) -> Iterator[Problem]:
    takes, ratio, slack = "Facebook takes videos of a story", limits.REEL_RATIO, limits.REEL_RATIO_SLACK
    yield from check_allowed(field, f"{takes} of type", facts.content_type, limits.REEL_TYPES)
    yield from check_range(field, takes, "seconds", facts.duration, limits.STORY_SECONDS)
    yield from check_range(field, takes, "frames a second", facts.fps, limits.REEL_FPS)
    yield from check_range(field, takes, "width:height", compute_ratio(facts), (ratio - slack, ratio + slack))
    low, found = limits.REEL_PIXELS, (facts.width, facts.height)
    if any(side is not None and side < least for side, least in zip(found, low, strict=True)):
        least, is_ = (f"{width} x {height}" for width, height in (low, found))
        yield refuse(field, f"{takes} of at least {least} pixels; this one has {is_}.", least, is_)


def _check_video(facts: MediaFacts, field: str) -> Iterator[Problem]:
    yield from check_maximum(field, "Facebook takes videos", "bytes", facts.bytes, limits.VIDEO_BYTES)
    yield from check_maximum(field, "Facebook takes videos", "seconds", facts.duration, limits.VIDEO_SECONDS)
