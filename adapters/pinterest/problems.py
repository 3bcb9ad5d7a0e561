"""Find the limits of Pinterest that a draft breaks. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

from adapters.contract import Account, Draft, Media, MediaFacts, Problem
from adapters.image_problems import find_image_problems
from adapters.pinterest import limits, payload
from adapters.post_wide import COVER, check_alt_texts, check_cover, warn_of_ai_label, warn_of_alt_texts

Found = str | int | float | None


def find_problems(draft: Draft, account: Account) -> list[Problem]:
    """Return all problems at once; an unknown media fact counts as within its limit."""
    found = [*_check_board(draft, account), *_check_texts(draft), *_check_link(draft), *_check_count(draft)]
    found += [*warn_of_ai_label(draft, "Pinterest"), *_check_alt_texts(draft)]
    found += check_cover(draft, "Pinterest", limits.IMAGE.types, limits.IMAGE.bytes)
    found += _warn_of_cover_fraction(draft)
    for index, media in enumerate(draft.media):
        found += _check_media(draft, media, _name_field(draft, index))
    return [*found, *_check_carousel_sizes(draft)]


def build_no_board_message(account: Account) -> str:
    """Return the message for a draft without a board."""
    return (
        "A pin needs a board: the request names none (pinterest.board_id) and the Pinterest account "
        f"{account.username} has no default board."
    )


def _refuse(field: str, message: str, limit: Found = None, found: Found = None) -> Problem:
    return Problem(
        severity="refuse", code="validation_failed", field=field, message=message, limit=limit, found=found
    )


def _name_field(draft: Draft, index: int) -> str:
    return "media.url" if draft.kind == "video" else f"media.urls[{index}]"


def _check_board(draft: Draft, account: Account) -> Iterator[Problem]:
    board = payload.choose_board(draft, account)
    if board is None:
        yield _refuse("pinterest.board_id", build_no_board_message(account), "a board", None)
    elif not (board.isascii() and board.isdecimal()):
        message = f"A Pinterest board's id consists of digits only; this one is {board!r}."
        yield _refuse("pinterest.board_id", message, "digits", board)


def _check_texts(draft: Draft) -> Iterator[Problem]:
    rows = (
        ("caption", "descriptions", len(draft.caption), limits.DESCRIPTION_CHARACTERS),
        ("pinterest.title", "titles", len(payload.build_title(draft)), limits.TITLE_CHARACTERS),
    )
    for field, what, found, limit in rows:
        if found > limit:
            message = f"Pinterest takes {what} of at most {limit} characters; this one has {found}."
            yield _refuse(field, message, limit, found)
    left_out = payload.append_hashtags(draft)[1]
    if left_out:
        yield Problem(
            severity="warn",
            code="TAGS_LEFT_OUT",
            field="pinterest.tags",
            message=(
                f"Tags become hashtags at the end of the description, which takes {limits.DESCRIPTION_CHARACTERS} "
                f"characters; {len(left_out)} of them will be left out, beginning with {left_out[0]!r}."
            ),
            limit=limits.DESCRIPTION_CHARACTERS,
            found=len(left_out),
        )


def _check_link(draft: Draft) -> Iterator[Problem]:
    link = str(draft.options.get("link") or "").strip()
    if len(link) > limits.LINK_CHARACTERS:
        message = (
            f"Pinterest takes links of at most {limits.LINK_CHARACTERS} characters; this one has {len(link)}."
        )
        yield _refuse("pinterest.link", message, limits.LINK_CHARACTERS, len(link))
    if link and not _is_web_address(link):
        message = f"Pinterest takes links that begin with http:// or https://; this one is {link[:80]!r}."
        yield _refuse("pinterest.link", message, "http or https", link[:80])


def _is_web_address(link: str) -> bool:
    try:
        parts = urlsplit(link)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc)


def _check_alt_texts(draft: Draft) -> Iterator[Problem]:
    """A pin has one alternative text, the first image's; cards have none (PinCreate in the spec)."""
    yield from check_alt_texts(draft, "Pinterest", limits.ALT_TEXT_CHARACTERS)
    yield from warn_of_alt_texts(replace(draft, media=draft.media[1:]), "A carousel's card after the first")


def _check_count(draft: Draft) -> Iterator[Problem]:
    most, count = (1 if draft.kind == "video" else limits.CAROUSEL[1]), len(draft.media)
    if draft.kind == "video" and count != 1:
        yield _refuse("media", f"A Pinterest video pin has exactly 1 file; this post has {count}.", 1, count)
    elif not 1 <= count <= most:
        low, high = limits.CAROUSEL
        message = f"Pinterest takes 1 image, or a carousel of {low} to {high}; this post has {count}."
        yield _refuse("media", message, most, count)


def _warn_of_cover_fraction(draft: Draft) -> Iterator[Problem]:
    """Warn of a cover between two seconds: the spec's cover_image_key_frame_time is an integer."""
    if isinstance(draft.cover, float) and draft.cover != payload.get_cover_second(draft):
        message = f"Pinterest takes a whole second as cover; of {draft.cover:g}, it gets {int(draft.cover)}."
        yield Problem(severity="warn", code="COVER_ROUNDED", field=COVER, message=message, found=draft.cover)


def _check_media(draft: Draft, media: Media, field: str) -> Iterator[Problem]:
    expected = "video" if draft.kind == "video" else "image"
    if media.kind != expected:
        message = f"Here Pinterest takes one {expected}; this is one {media.kind}."
        yield _refuse(field, message, expected, media.kind)
    elif media.facts is not None:
        yield from (
            _check_video(media.facts, field)
            if expected == "video"
            else find_image_problems("Pinterest", limits.IMAGE, media.facts, field)
        )


def _check_video(facts: MediaFacts, field: str) -> Iterator[Problem]:
    yield from _check_allowed("videos of type", facts.content_type, limits.VIDEO_TYPES, field)
    yield from _check_allowed("videos coded as", facts.codec, limits.VIDEO_CODECS, field)
    yield from _check_maximum("videos", facts.bytes, limits.VIDEO_BYTES, field)
    yield from _check_range("seconds", facts.duration, limits.VIDEO_SECONDS, field)
    low, high = limits.VIDEO_RATIO
    slack = limits.RATIO_SLACK
    yield from _check_range("width:height", _compute_ratio(facts), (low - slack, high + slack), field)


def _check_carousel_sizes(draft: Draft) -> Iterator[Problem]:
    """Warn of images that differ in size: such carousels were reported to be refused, without a vendor's page."""
    shapes = {(m.facts.width, m.facts.height) for m in draft.media if m.facts and m.facts.width}
    if draft.kind == "slideshow" and len(shapes) > 1:
        yield Problem(
            severity="warn",
            code="CAROUSEL_SIZES_DIFFER",
            field="media",
            message=(
                f"Pinterest was seen to refuse carousels whose images differ in size; these have {len(shapes)} sizes."
            ),
            limit=1,
            found=len(shapes),
        )


def _compute_ratio(facts: MediaFacts) -> float | None:
    return round(facts.width / facts.height, 3) if facts.width and facts.height else None


def _check_allowed(what: str, found: str | None, allowed: tuple[str, ...], field: str) -> Iterator[Problem]:
    if found is not None and found.lower() not in allowed:
        names = " or ".join(allowed)
        yield _refuse(field, f"Pinterest takes {what} {names}; this one is {found}.", names, found)


def _check_maximum(what: str, found: int, limit: int, field: str) -> Iterator[Problem]:
    if found > limit:
        message = f"Pinterest takes {what} of at most {limit} bytes; this one has {found}."
        yield _refuse(field, message, limit, found)


def _check_range(rule: str, found: float | None, limit: tuple[float, float], field: str) -> Iterator[Problem]:
    if found is not None and not limit[0] <= found <= limit[1]:
        span = f"{limit[0]:g} to {limit[1]:g}"
        yield _refuse(field, f"Pinterest takes videos of {span} {rule}; this one has {found}.", span, found)
