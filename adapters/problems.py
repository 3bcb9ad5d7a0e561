"""Find what several platforms check of a draft: images by their `ImageRule`, videos, post-wide options. Pure.

An account that cannot use a post-wide option warns, and publishes the post without it. An unknown fact counts as within
its limit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from adapters.contract import Draft, Media, MediaFacts, Problem
from adapters.limit import ImageRule, Ratio, count_utf16_units

COVER = "media.cover"
FIRST_COMMENT = "first_comment"
Found = str | int | float | None


def refuse(field: str, message: str, limit: Found = None, found: Found = None) -> Problem:
    """Return the refusal of a plain limit."""
    return Problem(
        severity="refuse", code="validation_failed", field=field, message=message, limit=limit, found=found
    )


def warn(code: str, field: str, message: str, limit: Found = None, found: Found = None) -> Problem:
    """Return a warning: the post goes out differently."""
    return Problem(severity="warn", code=code, field=field, message=message, limit=limit, found=found)


def name_field(draft: Draft, index: int) -> str:
    """Return the field of the request that names the medium at *index*."""
    return f"media.urls[{index}]" if draft.kind == "slideshow" else "media.url"


# --- limits of one value ---------------------------------------------------------------------------------------------


def check_allowed(field: str, what: str, found: str | None, allowed: Sequence[str]) -> Iterator[Problem]:
    """Refuse a value that is not among the allowed ones; *what* is such as ``Pinterest takes videos of type``."""
    if found is not None and found.lower() not in allowed:
        names = " or ".join(allowed)
        yield refuse(field, f"{what} {names}; this one is {found}.", names, found)


def check_maximum(field: str, what: str, unit: str, found: float | None, limit: float) -> Iterator[Problem]:
    """Refuse more than *limit* units; *what* is such as ``Facebook takes videos``."""
    if found is not None and found > limit:
        yield refuse(field, f"{what} of at most {limit:.0f} {unit}; this one has {found}.", limit, found)


def check_range(
    field: str, what: str, unit: str, found: float | None, limit: tuple[float, float]
) -> Iterator[Problem]:
    """Refuse a number outside of *limit*; *what* is such as ``Instagram takes videos``."""
    if found is not None and not limit[0] <= found <= limit[1]:
        span = f"{limit[0]:.10g} to {limit[1]:.10g}"
        yield refuse(field, f"{what} of {span} {unit}; this one has {found}.", span, found)


def compute_ratio(facts: MediaFacts) -> float | None:
    """Return width : height, or None if one of them is unknown."""
    return round(facts.width / facts.height, 3) if facts.width and facts.height else None


# --- files -----------------------------------------------------------------------------------------------------------


def check_files(
    draft: Draft, platform: str, rule: ImageRule, check_video: Callable[[MediaFacts, str], Iterator[Problem]]
) -> Iterator[Problem]:
    """Refuse files of another kind than the draft's, images by *rule*, and videos by *check_video*."""
    expected = "video" if draft.kind == "video" else "image"
    for index, media in enumerate(draft.media):
        field = name_field(draft, index)
        if media.kind != expected:
            message = f"Here {platform} takes one {expected}; this is one {media.kind}."
            yield refuse(field, message, expected, media.kind)
        elif media.facts is not None:
            is_video = expected == "video"
            yield from (
                check_video(media.facts, field)
                if is_video
                else find_image_problems(platform, rule, media.facts, field)
            )


def find_image_problems(platform: str, rule: ImageRule, facts: MediaFacts, field: str) -> Iterator[Problem]:
    """Find the problems of an image. ``platform``: its display name. An unknown fact counts as within its limit."""
    yield from check_allowed(field, f"{platform} takes images of type", facts.content_type, rule.types)
    for what, unit, limit, found in _list_sizes(rule, facts):
        if limit is not None:
            yield from check_maximum(field, f"{platform} takes images{what}", unit, found, limit)
    yield from _check_ratio(platform, rule, facts, field)


def _list_sizes(rule: ImageRule, facts: MediaFacts) -> Sequence[tuple[str, str, int | None, int]]:
    size = ("", "bytes", rule.bytes, facts.bytes)
    if not facts.width or not facts.height:
        return (size,)
    short, long = sorted((facts.width, facts.height))
    return (
        size,
        (" with a long side", "pixels", rule.long_side, long),
        (" with a short side", "pixels", rule.short_side, short),
        ("", "pixels", rule.area, facts.width * facts.height),
    )


def _check_ratio(platform: str, rule: ImageRule, facts: MediaFacts, field: str) -> Iterator[Problem]:
    found = compute_ratio(facts)
    if rule.ratio is None or found is None:
        return
    span, taken = _write_span(rule.ratio), _write_span(rule.reported_ratio or rule.ratio)
    if not rule.takes_ratio(found):
        message = f"{platform} takes images of {taken} width:height; this one has {found}."
        yield refuse(field, message, taken, found)
    elif not rule.takes_ratio(found, documented=True):
        message = (
            f"{platform} documents images of {span} width:height; this one has {found}, which third parties "
            "report to be taken. It is sent as it is."
        )
        yield warn("RATIO_NOT_DOCUMENTED", field, message, span, found)


def _write_span(ratio: Ratio) -> str:
    return f"{ratio[0]:g} to {ratio[1]:g}"


# --- post-wide options -----------------------------------------------------------------------------------------------


def check_first_comment(draft: Draft, what: str, most: int | None) -> Iterator[Problem]:
    """Refuse a first comment of more than *most* UTF-16 units; None: no known limit, 0: *what* takes none."""
    if draft.first_comment is None or most is None:
        return
    if not most:
        message = f"{what} takes no first comment by API. Remove it, or post to other accounts."
        yield refuse(FIRST_COMMENT, message, "none")
    else:
        found = count_utf16_units(draft.first_comment)
        yield from check_maximum(FIRST_COMMENT, f"{what} takes comments", "UTF-16 units", found, most)


def warn_of_ai_label(draft: Draft, what: str) -> Iterator[Problem]:
    """Warn of ``ai_generated`` where *what* (such as ``Facebook``) has no label for it."""
    if draft.ai_generated:
        message = (
            f"{what} takes no label of AI-generated content by API; say it in the caption where the law asks."
        )
        yield warn("AI_LABEL_NOT_SUPPORTED", "ai_generated", message)


def check_alt_texts(draft: Draft, name: str, most: int) -> Iterator[Problem]:
    """Refuse each alternative text of more than *most* characters."""
    for index, media in enumerate(draft.media):
        what, found = f"{name} takes alternative texts", len(media.alt_text or "")
        yield from check_maximum(f"media.alt_texts[{index}]", what, "characters", found, most)


def warn_of_alt_texts(draft: Draft, what: str) -> Iterator[Problem]:
    """Warn of alternative texts where *what* (such as ``A TikTok post``) takes none."""
    if any(media.alt_text for media in draft.media):
        message = f"{what} takes no alternative text by API; it goes out without."
        yield warn("ALT_TEXT_NOT_SUPPORTED", "media.alt_texts", message)


def warn_of_caption(message: str) -> Problem:
    """Return the warning that the caption is not sent, which *message* explains."""
    return warn("CAPTION_NOT_SENT", "caption", message)


def warn_of_cover(draft: Draft, message: str) -> Iterator[Problem]:
    """Warn with *message* that the cover is not used."""
    if draft.cover is not None:
        yield warn("COVER_NOT_SUPPORTED", COVER, message)


def check_cover(draft: Draft, name: str, types: tuple[str, ...], most: int | None) -> Iterator[Problem]:
    """Refuse a time after the video's end, and an image of another type or of more than *most* bytes."""
    if isinstance(draft.cover, Media):
        facts = draft.cover.facts
        if facts is not None:
            yield from check_allowed(COVER, f"{name} takes covers of type", facts.content_type, types)
        if facts is not None and most is not None:
            yield from check_maximum(COVER, f"{name} takes covers", "bytes", facts.bytes, most)
        return
    length = draft.media[0].facts.duration if draft.media and draft.media[0].facts else None
    if draft.cover is not None and length is not None and draft.cover > length:
        message = f"A cover is a time in the video of {length:g} seconds: {draft.cover:g} is too late."
        yield refuse(COVER, message, length, draft.cover)
