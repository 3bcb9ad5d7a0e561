"""Why a draft cannot go out on Instagram: every limit that the facts at hand show to be broken. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from adapters.contract import Draft, Media, MediaFacts, Problem
from adapters.instagram import limits

_HASHTAG = re.compile(r"(?<!\w)#\w+")
_MENTION = re.compile(r"(?<![\w.])@\w[\w.]*")
Found = str | int | float | None


def problems(draft: Draft) -> list[Problem]:
    """All of them together; a fact that could not be told is not held against the draft."""
    found = [*_caption(draft.caption), *_count(draft)]
    for index, media in enumerate(draft.media):
        found += _media(media, _field(draft, index))
    return found


def _refuse(field: str, message: str, limit: Found, found: Found) -> Problem:
    return Problem(
        severity="refuse", code="validation_failed", field=field, message=message, limit=limit, found=found
    )


def _field(draft: Draft, index: int) -> str:
    return "media.url" if draft.kind == "video" else f"media.urls[{index}]"


def _caption(caption: str) -> Iterator[Problem]:
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


def _count(draft: Draft) -> Iterator[Problem]:
    most, count = limits.CAROUSEL[1], len(draft.media)
    if not 1 <= count <= most:
        message = f"An Instagram carousel takes {limits.CAROUSEL[0]} to {most} items; this one has {count}."
        yield _refuse("media", message, most, count)


def _media(media: Media, field: str) -> Iterator[Problem]:
    if media.facts is None:
        return
    if media.kind == "image":
        yield from _image(media.facts, field)
    else:
        yield from _video(media.facts, field)


def _image(facts: MediaFacts, field: str) -> Iterator[Problem]:
    yield from _one_of("images", "type", facts.content_type, limits.IMAGE_TYPES, field)
    yield from _at_most("images", "bytes", facts.bytes, limits.IMAGE_BYTES, field)
    low, high = limits.IMAGE_RATIO
    yield from _within(
        "images", "width:height", _ratio(facts), (low - limits.RATIO_SLACK, high + limits.RATIO_SLACK), field
    )


def _video(facts: MediaFacts, field: str) -> Iterator[Problem]:
    yield from _one_of("videos", "type", facts.content_type, limits.VIDEO_TYPES, field)
    yield from _one_of("videos", "codec", facts.codec, limits.VIDEO_CODECS, field)
    yield from _at_most("videos", "bytes", facts.bytes, limits.VIDEO_BYTES, field)
    yield from _at_most("videos", "pixels of width", facts.width, limits.VIDEO_WIDTH, field)
    yield from _within("videos", "seconds", facts.duration, limits.VIDEO_SECONDS, field)
    yield from _within("videos", "frames a second", facts.fps, limits.VIDEO_FPS, field)
    yield from _within("videos", "width:height", _ratio(facts), limits.VIDEO_RATIO, field)


def _ratio(facts: MediaFacts) -> float | None:
    return round(facts.width / facts.height, 3) if facts.width and facts.height else None


def _one_of(
    what: str, rule: str, found: str | None, allowed: tuple[str, ...], field: str
) -> Iterator[Problem]:
    if found is not None and found not in allowed:
        names = " or ".join(allowed)
        yield _refuse(field, f"Instagram takes {what} of {rule} {names}; this one is {found}.", names, found)


def _at_most(what: str, rule: str, found: int | None, limit: int, field: str) -> Iterator[Problem]:
    if found is not None and found > limit:
        yield _refuse(
            field, f"Instagram takes {what} of at most {limit} {rule}; this one has {found}.", limit, found
        )


def _within(
    what: str, rule: str, found: float | None, limit: tuple[float, float], field: str
) -> Iterator[Problem]:
    if found is not None and not limit[0] <= found <= limit[1]:
        span = f"{limit[0]:g} to {limit[1]:g}"
        yield _refuse(field, f"Instagram takes {what} of {span} {rule}; this one has {found}.", span, found)
