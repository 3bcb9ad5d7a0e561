"""Why a draft cannot go out on a Facebook Page: every limit that the facts at hand show to be broken. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from adapters.contract import Draft, Media, MediaFacts, Problem
from adapters.facebook import limits


def problems(draft: Draft) -> list[Problem]:
    """All of them together; a fact that could not be told is not held against the draft."""
    found: list[Problem] = []
    for index, media in enumerate(draft.media):
        field = "media.url" if draft.kind == "video" else f"media.urls[{index}]"
        found += _mixed(media, field) if draft.kind == "slideshow" else []
        if media.facts is not None:
            found += _photo(media.facts, field) if media.kind == "image" else _video(media.facts, field)
    return found


def _refuse(field: str, message: str, limit: str | float, found: str | float) -> Problem:
    return Problem(
        severity="refuse", code="validation_failed", field=field, message=message, limit=limit, found=found
    )


def _mixed(media: Media, field: str) -> Iterator[Problem]:
    if media.kind == "video":
        yield _refuse(field, "A Facebook slideshow takes images only; this is a video.", "image", "video")


def _photo(facts: MediaFacts, field: str) -> Iterator[Problem]:
    if facts.content_type not in limits.PHOTO_TYPES:
        names = ", ".join(limits.PHOTO_TYPES)
        message = f"Facebook takes images of type {names}; this one is {facts.content_type}."
        yield _refuse(field, message, names, facts.content_type)
    yield from _at_most("images", "bytes", facts.bytes, limits.PHOTO_BYTES, field)


def _video(facts: MediaFacts, field: str) -> Iterator[Problem]:
    yield from _at_most("videos", "bytes", facts.bytes, limits.VIDEO_BYTES, field)
    yield from _at_most("videos", "seconds", facts.duration, limits.VIDEO_SECONDS, field)


def _at_most(what: str, rule: str, found: float | None, limit: float, field: str) -> Iterator[Problem]:
    if found is not None and found > limit:
        message = f"Facebook takes {what} of at most {limit:.0f} {rule}; this one has {found}."
        yield _refuse(field, message, limit, found)
