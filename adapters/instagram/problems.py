"""Find the limits of Instagram that a draft breaks. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from adapters.contract import Account, Draft, Media, MediaFacts, Problem
from adapters.graph_stories import find_story_problems, is_story
from adapters.instagram import limits
from adapters.problems import (
    check_allowed,
    check_alt_texts,
    check_cover,
    check_maximum,
    check_range,
    compute_ratio,
    find_image_problems,
    name_field,
    refuse,
    warn,
    warn_of_alt_texts,
)

_HASHTAG = re.compile(r"(?<!\w)#\w+")
_MENTION = re.compile(r"(?<![\w.])@\w[\w.]*")


def find_problems(draft: Draft, _account: Account) -> list[Problem]:
    """Return all problems at once; an unknown media fact counts as within its limit."""
    found = list(_check_story(draft) if is_story(draft) else _check_post(draft))
    for index, media in enumerate(draft.media):
        found += _check_media(media, name_field(draft, index), is_story=is_story(draft))
    return found


def _check_story(draft: Draft) -> Iterator[Problem]:
    yield from find_story_problems(draft, "Instagram", ("share_to_feed",))
    for option in ("collaborators", "location_id"):
        if draft.options.get(option):
            message = f"Instagram takes no {option} with a story. Remove it, or post to the feed."
            yield refuse(f"instagram.{option}", message, "none in a story", option)


def _check_post(draft: Draft) -> Iterator[Problem]:
    yield from (*_check_caption(draft.caption), *_check_count(draft), *_warn_of_unused_options(draft))
    if draft.kind == "video":
        yield from warn_of_alt_texts(draft, "An Instagram reel")
        yield from check_cover(draft, "Instagram", limits.IMAGE.types, limits.IMAGE.bytes)
    else:
        yield from check_alt_texts(draft, "Instagram", limits.ALT_TEXT_CHARACTERS)


def _check_caption(caption: str) -> Iterator[Problem]:
    rows = (
        ("characters", len(caption), limits.CAPTION_CHARACTERS),
        ("hashtags", len(_HASHTAG.findall(caption)), limits.HASHTAGS),
        ("mentions", len(_MENTION.findall(caption)), limits.MENTIONS),
    )
    for what, found, limit in rows:
        yield from check_maximum("caption", "Instagram takes captions", what, found, limit)


def _check_count(draft: Draft) -> Iterator[Problem]:
    most, count = limits.CAROUSEL[1], len(draft.media)
    if not 1 <= count <= most:
        message = f"An Instagram carousel takes {limits.CAROUSEL[0]} to {most} items; this one has {count}."
        yield refuse("media", message, most, count)


def _warn_of_unused_options(draft: Draft) -> Iterator[Problem]:
    if draft.kind != "video" and draft.options.get("share_to_feed") is not None:
        message = "Only reels have a setting share_to_feed; images always appear in the feed."
        yield warn("SETTING_HAS_NO_EFFECT", "instagram.share_to_feed", message)


def _check_media(media: Media, field: str, *, is_story: bool) -> Iterator[Problem]:
    if media.facts is None:
        return
    if media.kind == "image":
        rule = limits.STORY_IMAGE if is_story else limits.IMAGE
        yield from find_image_problems("Instagram", rule, media.facts, field)
    else:
        yield from _check_video(media.facts, field, is_story=is_story)


def _check_video(facts: MediaFacts, field: str, *, is_story: bool) -> Iterator[Problem]:
    takes, ratio = f"Instagram takes videos{' of a story' if is_story else ''}", compute_ratio(facts)
    most = limits.STORY_BYTES if is_story else limits.VIDEO_BYTES
    seconds = limits.STORY_SECONDS if is_story else limits.VIDEO_SECONDS
    yield from check_allowed(field, f"{takes} of type", facts.content_type, limits.VIDEO_TYPES)
    yield from check_allowed(field, f"{takes} of codec", facts.codec, limits.VIDEO_CODECS)
    yield from check_maximum(field, takes, "bytes", facts.bytes, most)
    yield from check_maximum(field, takes, "pixels of width", facts.width, limits.VIDEO_WIDTH)
    yield from check_range(field, takes, "seconds", facts.duration, seconds)
    yield from check_range(field, takes, "frames a second", facts.fps, limits.VIDEO_FPS)
    yield from check_range(field, takes, "width:height", ratio, limits.VIDEO_RATIO)
