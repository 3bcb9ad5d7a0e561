"""Find the limits of Mammoth that a draft breaks. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from adapters.contract import Draft, Media, Problem
from tests.adapters.example.mammoth import limits


def problems(draft: Draft) -> list[Problem]:
    """Return every problem at once."""
    found = [*_most("caption", "texts", "characters", limits.CHARACTERS, len(draft.caption))]
    most = 1 if draft.kind == "video" else limits.IMAGES
    found += _most("media", "posts", "files", most, len(draft.media))
    for index, media in enumerate(draft.media):
        found += _file("media.url" if draft.kind == "video" else f"media.urls[{index}]", media)
    return found


def _file(field: str, media: Media) -> Iterator[Problem]:
    if media.facts is None:
        return
    video = media.kind == "video"
    types = limits.VIDEO_TYPES if video else limits.IMAGE_TYPES
    if media.facts.content_type not in types:
        yield _refuse(
            field, f"files of type {' or '.join(types)}", ", ".join(types), media.facts.content_type
        )
    most = limits.VIDEO_BYTES if video else limits.IMAGE_BYTES
    yield from _most(field, "files", "bytes", most, media.facts.bytes)


def _most(field: str, what: str, unit: str, limit: int, found: int) -> Iterator[Problem]:
    if found > limit:
        yield _refuse(field, f"{what} of at most {limit} {unit}", limit, found)


def _refuse(field: str, rule: str, limit: str | int, found: str | int) -> Problem:
    message = f"Mammoth takes {rule}; this is {found}."
    return Problem(
        severity="refuse", code="validation_failed", field=field, message=message, limit=limit, found=found
    )
