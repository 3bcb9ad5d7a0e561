"""Find the limits of Instagram that a draft breaks. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from adapters.contract import Draft, Media, MediaFacts, Problem
from adapters.image_problems import find_image_problems
from adapters.instagram import limits
from adapters.post_wide import check_alt_texts, check_cover, warn_of_alt_texts

_HASHTAG = re.compile(r"(?<!\w)#\w+")
_MENTION = re.compile(r"(?<![\w.])@\w[\w.]*")
Found = str | int | float | None


def find_problems(draft: Draft) -> list[Problem]:
    """Return all problems at once; an unknown media fact counts as within its limit."""
    found = [*_check_caption(draft.caption), *_check_count(draft), *_warn_of_unused_options(draft)]
    if draft.kind == "video":
        found += warn_of_alt_texts(draft, "An Instagram reel")
        found += check_cover(draft, "Instagram", limits.IMAGE.types, limits.IMAGE.bytes)
    else:
        found += check_alt_texts(draft, "Instagram", limits.ALT_TEXT_CHARACTERS)
    for index, media in enumerate(draft.media):
        found += _check_media(media, _name_field(draft, index))
    return found


def _refuse(field: str, message: str, limit: Found, found: Found) -> Problem:
    return Problem(
        severity="refuse", code="validation_failed", field=field, message=message, limit=limit, found=found
    )


def _name_field(draft: Draft, index: int) -> str:
    return "media.url" if draft.kind == "video" else f"media.urls[{index}]"


def _check_caption(caption: str) -> Iterator[Problem]:
    rows = (
        ("characters", len(caption), limits.CAPTION_CHARACTERS),
        ("hashtags", len(_HASHTAG.findall(caption)), limits.HASHTAGS),
        ("mentions", len(_MENTION.findall(caption)), limits.MENTIONS),
    )
    for what, found, limit in rows:
        if found > limit:
            yield _refuse(
                "caption",
                f"Instagram takes captions of at most {limit} {what}; this one has {found}.",
                limit,
                found,
            )


def _check_count(draft: Draft) -> Iterator[Problem]:
    most, count = limits.CAROUSEL[1], len(draft.media)
    if not 1 <= count <= most:
        message = f"An Instagram carousel takes {limits.CAROUSEL[0]} to {most} items; this one has {count}."
        yield _refuse("media", message, most, count)


def _warn_of_unused_options(draft: Draft) -> Iterator[Problem]:
    if draft.kind != "video" and draft.options.get("share_to_feed") is not None:
        yield Problem(
            severity="warn",
            code="SETTING_HAS_NO_EFFECT",
            field="instagram.share_to_feed",
            message="Only reels have a setting share_to_feed; images always appear in the feed.",
        )


def _check_media(media: Media, field: str) -> Iterator[Problem]:
    if media.facts is None:
        return
    if media.kind == "image":
        yield from find_image_problems("Instagram", limits.IMAGE, media.facts, field)
    else:
        yield from _check_video(media.facts, field)


def _check_video(facts: MediaFacts, field: str) -> Iterator[Problem]:
    yield from _check_allowed("videos", "type", facts.content_type, limits.VIDEO_TYPES, field)
    yield from _check_allowed("videos", "codec", facts.codec, limits.VIDEO_CODECS, field)
    yield from _check_maximum("videos", "bytes", facts.bytes, limits.VIDEO_BYTES, field)
    yield from _check_maximum("videos", "pixels of width", facts.width, limits.VIDEO_WIDTH, field)
    yield from _check_range("videos", "seconds", facts.duration, limits.VIDEO_SECONDS, field)
    yield from _check_range("videos", "frames a second", facts.fps, limits.VIDEO_FPS, field)
    yield from _check_range("videos", "width:height", _compute_ratio(facts), limits.VIDEO_RATIO, field)


def _compute_ratio(facts: MediaFacts) -> float | None:
    return round(facts.width / facts.height, 3) if facts.width and facts.height else None


def _check_allowed(
    what: str, rule: str, found: str | None, allowed: tuple[str, ...], field: str
) -> Iterator[Problem]:
    if found is not None and found not in allowed:
        names = " or ".join(allowed)
        yield _refuse(field, f"Instagram takes {what} of {rule} {names}; this one is {found}.", names, found)


def _check_maximum(what: str, rule: str, found: int | None, limit: int, field: str) -> Iterator[Problem]:
    if found is not None and found > limit:
        yield _refuse(
            field, f"Instagram takes {what} of at most {limit} {rule}; this one has {found}.", limit, found
        )


def _check_range(
    what: str, rule: str, found: float | None, limit: tuple[float, float], field: str
) -> Iterator[Problem]:
    if found is not None and not limit[0] <= found <= limit[1]:
        span = f"{limit[0]:g} to {limit[1]:g}"
        yield _refuse(field, f"Instagram takes {what} of {span} {rule}; this one has {found}.", span, found)
