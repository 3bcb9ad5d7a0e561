"""Find the limits of LinkedIn that a draft breaks. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from adapters.contract import Account, Draft, Media, MediaFacts, Problem
from adapters.limit import count_utf16_units
from adapters.linkedin import limits
from adapters.linkedin.payload import escape_little_text
from adapters.problems import (
    check_allowed,
    check_alt_texts,
    check_cover,
    check_files,
    check_first_comment,
    check_maximum,
    check_range,
    refuse,
    warn,
    warn_of_ai_label,
    warn_of_cover,
)

URN_PREFIXES = {"person": "urn:li:person:", "organization": "urn:li:organization:"}
"""Connection -> how the author's URN begins."""


def find_problems(draft: Draft, account: Account) -> list[Problem]:
    """Return all problems at once; an unknown media fact counts as within its limit."""
    found = [*_check_author(account), *_check_caption(draft), *_check_count(draft)]
    found += [*_check_options(draft, account), *warn_of_ai_label(draft, "LinkedIn")]
    found += [*check_alt_texts(draft, "LinkedIn", limits.ALT_TEXT), *_check_first_comment(draft, account)]
    found += (
        check_cover(draft, "LinkedIn", limits.COVER_TYPES, limits.COVER_BYTES)
        if isinstance(draft.cover, Media)
        else warn_of_cover(draft, "LinkedIn takes an image as cover, not a second; it chooses a frame.")
    )
    if draft.kind == "document":
        return [*found, *_check_document(draft)]
    return [*found, *check_files(draft, "LinkedIn", limits.IMAGE, _check_video)]


def _check_author(account: Account) -> Iterator[Problem]:
    expected = URN_PREFIXES.get(account.connection)
    if expected is None:
        names = " or ".join(URN_PREFIXES)
        message = f"LinkedIn accounts are connected as {names}; this one as {account.connection!r}."
        yield refuse("accounts", message, names, account.connection)
    elif not account.remote_id.startswith(expected):
        message = f"A LinkedIn {account.connection} is named {expected}…; this one is {account.remote_id!r}."
        yield refuse("accounts", message, expected, account.remote_id)


def _check_caption(draft: Draft) -> Iterator[Problem]:
    found = count_utf16_units(escape_little_text(draft.caption))
    if found > limits.COMMENTARY:
        message = (
            f"LinkedIn takes texts of at most {limits.COMMENTARY} characters, the backslashes that its format needs "
            f"included; this one has {found}."
        )
        yield refuse("caption", message, limits.COMMENTARY, found)


def _check_first_comment(draft: Draft, account: Account) -> Iterator[Problem]:
    """Refuse one of a member: LinkedIn lets few apps read a member's comments, so a lost answer would prove nothing."""
    if account.connection == "person":
        return check_first_comment(draft, "LinkedIn's member", 0)
    return check_first_comment(draft, "LinkedIn", limits.COMMENT_UNITS)


def _check_count(draft: Draft) -> Iterator[Problem]:
    count = len(draft.media)
    if draft.kind in ("video", "document") and count != 1:
        yield refuse(
            "media", f"A LinkedIn {draft.kind} post has exactly 1 file; this one has {count}.", 1, count
        )
    elif draft.kind == "slideshow" and not 1 <= count <= limits.IMAGES[1]:
        low, high = limits.IMAGES
        message = f"LinkedIn takes 1 image, or {low} to {high} in one post; this one has {count}."
        yield refuse("media", message, high, count)


def _check_options(draft: Draft, account: Account) -> Iterator[Problem]:
    if draft.options.get("visibility") == "CONNECTIONS" and account.connection == "organization":
        message = "A LinkedIn organization has no connections; its posts are PUBLIC or LOGGED_IN."
        yield refuse("linkedin.visibility", message, "PUBLIC or LOGGED_IN", "CONNECTIONS")
    if draft.options.get("title") and (reason := _explain_unused_title(draft)):
        yield warn("SETTING_HAS_NO_EFFECT", "linkedin.title", reason)


def _explain_unused_title(draft: Draft) -> str | None:
    if draft.kind == "document":
        return "The title of a LinkedIn document is media.title."
    if len(draft.media) > 1:
        return "A LinkedIn post of several images has no title."
    is_used = draft.media or draft.options.get("link")
    return None if is_used else "A LinkedIn post of text alone has no title."


def _check_document(draft: Draft) -> Iterator[Problem]:
    for facts in (media.facts for media in draft.media if media.facts):
        takes = "LinkedIn takes documents"
        yield from check_allowed("media.url", f"{takes} of type", facts.content_type, limits.DOCUMENT_TYPES)
        yield from check_maximum("media.url", takes, "bytes", facts.bytes, limits.DOCUMENT_BYTES)
        yield from check_maximum("media.url", takes, "pages", facts.pages, limits.DOCUMENT_PAGES)


def _check_video(facts: MediaFacts, field: str) -> Iterator[Problem]:
    takes = "LinkedIn takes videos"
    yield from check_allowed(field, f"{takes} of type", facts.content_type, limits.VIDEO_TYPES)
    yield from check_range(field, takes, "bytes", facts.bytes, limits.VIDEO_BYTES)
    yield from check_range(field, takes, "seconds", facts.duration, limits.VIDEO_SECONDS)
