"""Find the limits of LinkedIn that a draft breaks. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from adapters.contract import Account, Draft, Media, MediaFacts, Problem
from adapters.image_problems import find_image_problems
from adapters.linkedin import limits
from adapters.linkedin.text import escape_little_text
from adapters.post_wide import check_alt_texts, check_cover, warn_of_ai_label, warn_of_cover
from adapters.text import count_utf16_units

Found = str | int | float | None
URN_PREFIXES = {"person": "urn:li:person:", "organization": "urn:li:organization:"}
"""Connection -> how the author's URN begins."""


def find_problems(draft: Draft, account: Account) -> list[Problem]:
    """Return all problems at once; an unknown media fact counts as within its limit."""
    found = [*_check_author(account), *_check_caption(draft), *_check_count(draft)]
    found += [*_check_options(draft, account), *warn_of_ai_label(draft, "LinkedIn")]
    found += check_alt_texts(draft, "LinkedIn", limits.ALT_TEXT)
    found += (
        check_cover(draft, "LinkedIn", limits.COVER_TYPES, limits.COVER_BYTES)
        if isinstance(draft.cover, Media)
        else warn_of_cover(draft, "LinkedIn takes an image as cover, not a second; it chooses a frame.")
    )
    for index, media in enumerate(draft.media):
        found += _check_media(draft, media, "media.url" if draft.kind == "video" else f"media.urls[{index}]")
    return found


def _refuse(field: str, message: str, limit: Found, found: Found) -> Problem:
    return Problem(
        severity="refuse", code="validation_failed", field=field, message=message, limit=limit, found=found
    )


def _check_author(account: Account) -> Iterator[Problem]:
    expected = URN_PREFIXES.get(account.connection)
    if expected is None:
        names = " or ".join(URN_PREFIXES)
        message = f"LinkedIn accounts are connected as {names}; this one as {account.connection!r}."
        yield _refuse("accounts", message, names, account.connection)
    elif not account.remote_id.startswith(expected):
        message = f"A LinkedIn {account.connection} is named {expected}…; this one is {account.remote_id!r}."
        yield _refuse("accounts", message, expected, account.remote_id)


def _check_caption(draft: Draft) -> Iterator[Problem]:
    found = count_utf16_units(escape_little_text(draft.caption))
    if found > limits.COMMENTARY:
        message = (
            f"LinkedIn takes texts of at most {limits.COMMENTARY} characters, the backslashes that its format needs "
            f"included; this one has {found}."
        )
        yield _refuse("caption", message, limits.COMMENTARY, found)


def _check_count(draft: Draft) -> Iterator[Problem]:
    count = len(draft.media)
    if draft.kind == "video" and count != 1:
        yield _refuse("media", f"A LinkedIn video post has exactly 1 file; this one has {count}.", 1, count)
    elif not 1 <= count <= limits.IMAGES[1]:
        low, high = limits.IMAGES
        message = f"LinkedIn takes 1 image, or {low} to {high} in one post; this one has {count}."
        yield _refuse("media", message, high, count)


def _check_options(draft: Draft, account: Account) -> Iterator[Problem]:
    if draft.options.get("visibility") == "CONNECTIONS" and account.connection == "organization":
        message = "A LinkedIn organization has no connections; its posts are PUBLIC or LOGGED_IN."
        yield _refuse("linkedin.visibility", message, "PUBLIC or LOGGED_IN", "CONNECTIONS")
    if draft.options.get("title") and len(draft.media) > 1:
        message = "A LinkedIn post of several images has no title."
        yield Problem(severity="warn", code="SETTING_HAS_NO_EFFECT", field="linkedin.title", message=message)


def _check_media(draft: Draft, media: Media, field: str) -> Iterator[Problem]:
    expected = "video" if draft.kind == "video" else "image"
    if media.kind != expected:
        yield _refuse(
            field, f"Here LinkedIn takes one {expected}; this is one {media.kind}.", expected, media.kind
        )
    elif media.facts is not None:
        yield from (
            _check_video(media.facts, field)
            if expected == "video"
            else find_image_problems("LinkedIn", limits.IMAGE, media.facts, field)
        )


def _check_video(facts: MediaFacts, field: str) -> Iterator[Problem]:
    yield from _check_allowed("videos", facts.content_type, limits.VIDEO_TYPES, field)
    yield from _check_range("bytes", facts.bytes, limits.VIDEO_BYTES, field)
    yield from _check_range("seconds", facts.duration, limits.VIDEO_SECONDS, field)


def _check_allowed(what: str, found: str, allowed: tuple[str, ...], field: str) -> Iterator[Problem]:
    if found.lower() not in allowed:
        names = " or ".join(allowed)
        yield _refuse(field, f"LinkedIn takes {what} of type {names}; this one is {found}.", names, found)


def _check_range(rule: str, found: float | None, limit: tuple[float, float], field: str) -> Iterator[Problem]:
    if found is not None and not limit[0] <= found <= limit[1]:
        span = f"{limit[0]:.10g} to {limit[1]:.10g}"
        yield _refuse(field, f"LinkedIn takes videos of {span} {rule}; this one has {found}.", span, found)
