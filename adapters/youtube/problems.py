"""Find why YouTube cannot publish a draft, or would publish it differently than requested. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from adapters.contract import Account, Draft, Media, MediaFacts, Problem
from adapters.limit import count_utf16_units
from adapters.problems import (
    check_cover,
    check_first_comment,
    check_maximum,
    refuse,
    warn,
    warn_of_alt_texts,
    warn_of_cover,
)
from adapters.youtube import limits, payload


def find_problems(draft: Draft, account: Account) -> list[Problem]:
    """Return every problem at once. A fact that is unknown is not checked."""
    shape = [*_check_shape(draft)]
    if shape:  # the limits of videos do not apply to other posts
        return shape
    found = [*_check_texts(draft.caption, draft.options), *_check_options(draft)]
    found += [*warn_of_alt_texts(draft, "A YouTube video"), *_check_cover(draft)]
    found += check_first_comment(draft, "YouTube", limits.COMMENT_UNITS)
    facts = draft.media[0].facts
    if facts is not None:
        found += [*_check_file(facts), *_check_length(facts, account), *_check_short(draft, facts)]
    return found


def _check_shape(draft: Draft) -> Iterator[Problem]:
    kind = (
        draft.kind
        if draft.kind != "video"
        else next((m.kind for m in draft.media if m.kind != "video"), None)
    )
    if kind is not None:
        yield refuse(
            "media", f"YouTube publishes videos only; this post has a media type of {kind}.", "video", kind
        )
    elif len(draft.media) != 1:
        count = len(draft.media)
        yield refuse("media", f"A YouTube post has exactly 1 video; this one has {count}.", 1, count)


def _check_texts(caption: str, options: Mapping[str, Any]) -> Iterator[Problem]:
    if not payload.cut_title(str(options.get("title") or "")) and not payload.cut_title(caption):
        yield refuse("caption", "YouTube needs a title; this caption has no text for one.", 1, 0)
    size = len(payload.build_description(caption).encode("utf-8", "surrogatepass"))
    if size > limits.DESCRIPTION_BYTES:
        message = f"YouTube takes descriptions of at most {limits.DESCRIPTION_BYTES} bytes; this caption has {size}."
        yield refuse("caption", message, limits.DESCRIPTION_BYTES, size)
    brackets = sum(caption.count(character) for character in limits.FORBIDDEN)
    if brackets:
        message = f"YouTube takes no < and > in texts; the {brackets} in this caption become typographic."
        yield warn("TEXT_CHANGED", "caption", message, 0, brackets)
    every, kept = len(payload.find_hashtags(caption)), len(payload.find_tags(caption))
    if kept < every and options.get("tags") is None:
        message = (
            f"YouTube takes tags of at most {limits.TAGS_CHARACTERS} characters in all; "
            f"the first {kept} of {every} hashtags become tags."
        )
        yield warn("TAGS_CUT", "caption", message, limits.TAGS_CHARACTERS, every)


def _check_options(draft: Draft) -> Iterator[Problem]:
    title, tags = str(draft.options.get("title") or ""), [str(tag) for tag in draft.options.get("tags") or ()]
    length = count_utf16_units(title)
    yield from check_maximum(
        "youtube.title", "YouTube takes titles", "UTF-16 units", length, limits.TITLE_UNITS
    )
    length = payload.count_tag_characters(tags)
    if length > limits.TAGS_CHARACTERS:
        message = (
            f"YouTube takes tags of at most {limits.TAGS_CHARACTERS} characters in all, commas and the quotes around "
            f"tags with spaces included; these have {length}."
        )
        yield refuse("youtube.tags", message, limits.TAGS_CHARACTERS, length)
    for field, words in (("title", title), ("tags", "".join(tags))):
        if brackets := sum(words.count(character) for character in limits.FORBIDDEN):
            message = (
                f"YouTube takes no < and > in texts; the {brackets} in youtube.{field} become typographic."
            )
            yield warn("TEXT_CHANGED", f"youtube.{field}", message, 0, brackets)


def _check_cover(draft: Draft) -> Iterator[Problem]:
    if isinstance(draft.cover, Media):
        return check_cover(draft, "YouTube", limits.COVER_TYPES, limits.COVER_BYTES)
    message = "YouTube takes an image as thumbnail, no time in the video; it chooses one of the frames."
    return warn_of_cover(draft, message)


def _check_file(facts: MediaFacts) -> Iterator[Problem]:
    if not facts.content_type.startswith(limits.MEDIA_TYPES):
        message = f"YouTube takes files of type video/*; this one is {facts.content_type}."
        yield refuse("media.url", message, "video/*", facts.content_type)
    yield from check_maximum("media.url", "YouTube takes videos", "bytes", facts.bytes, limits.VIDEO_BYTES)
    if facts.bytes <= 0:
        yield refuse("media.url", "YouTube takes videos of at least 1 byte; this one has 0.", 1, facts.bytes)


def _check_length(facts: MediaFacts, account: Account) -> Iterator[Problem]:
    if facts.duration is None:
        return
    if facts.duration > limits.VIDEO_SECONDS:
        message = f"YouTube takes videos of at most {limits.VIDEO_SECONDS:g} seconds; this one has {facts.duration:g}."
        yield refuse("media.url", message, limits.VIDEO_SECONDS, facts.duration)
    elif facts.duration > limits.UNVERIFIED_SECONDS and account.settings.get("long_uploads") in {
        "eligible",
        "disallowed",
    }:
        message = (
            f"When it was connected, this channel could upload at most {limits.UNVERIFIED_SECONDS:g} seconds "
            f"(see youtube.com/verify); this video has {facts.duration:g}."
        )
        yield warn("CHANNEL_NOT_VERIFIED", "media.url", message, limits.UNVERIFIED_SECONDS, facts.duration)


def _check_short(draft: Draft, facts: MediaFacts) -> Iterator[Problem]:
    if payload.is_short(draft) is False:
        found = f"{facts.width}x{facts.height}, {facts.duration:g} s"
        message = (
            f"YouTube makes Shorts of square or vertical videos of at most {limits.SHORT_SECONDS:g} seconds; "
            f"this one ({found}) goes out as an ordinary video."
        )
        yield warn("NOT_A_SHORT", "media.url", message, limits.SHORT_SECONDS, found)
