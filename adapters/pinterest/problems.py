"""Find the limits of Pinterest that a draft breaks. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

from adapters.contract import Account, Draft, MediaFacts, Problem
from adapters.pinterest import limits, payload
from adapters.problems import (
    COVER,
    check_allowed,
    check_alt_texts,
    check_cover,
    check_files,
    check_first_comment,
    check_maximum,
    check_range,
    compute_ratio,
    refuse,
    warn,
    warn_of_ai_label,
    warn_of_alt_texts,
)


def find_problems(draft: Draft, account: Account) -> list[Problem]:
    """Return all problems at once; an unknown media fact counts as within its limit."""
    found = [*_check_board(draft, account), *_check_texts(draft), *_check_link(draft), *_check_count(draft)]
    found += [*warn_of_ai_label(draft, "Pinterest"), *_check_alt_texts(draft)]
    found += check_first_comment(draft, "Pinterest", 0)
    found += check_cover(draft, "Pinterest", limits.IMAGE.types, limits.IMAGE.bytes)
    found += _warn_of_cover_fraction(draft)
    found += check_files(draft, "Pinterest", limits.IMAGE, _check_video)
    return [*found, *_check_carousel_sizes(draft)]


def build_no_board_message(account: Account) -> str:
    """Return the message for a draft without a board."""
    return (
        "A pin needs a board: the request names none (pinterest.board_id) and the Pinterest account "
        f"{account.username} has no default board."
    )


def _check_board(draft: Draft, account: Account) -> Iterator[Problem]:
    board = payload.choose_board(draft, account)
    if board is None:
        yield refuse("pinterest.board_id", build_no_board_message(account), "a board", None)
    elif not (board.isascii() and board.isdecimal()):
        message = f"A Pinterest board's id consists of digits only; this one is {board!r}."
        yield refuse("pinterest.board_id", message, "digits", board)


def _check_texts(draft: Draft) -> Iterator[Problem]:
    rows = (
        ("caption", "descriptions", len(draft.caption), limits.DESCRIPTION_CHARACTERS),
        ("pinterest.title", "titles", len(payload.build_title(draft)), limits.TITLE_CHARACTERS),
    )
    for field, what, found, limit in rows:
        yield from check_maximum(field, f"Pinterest takes {what}", "characters", found, limit)
    left_out = payload.append_hashtags(draft)[1]
    if left_out:
        message = (
            f"Tags become hashtags at the end of the description, which takes {limits.DESCRIPTION_CHARACTERS} "
            f"characters; {len(left_out)} of them will be left out, beginning with {left_out[0]!r}."
        )
        yield warn("TAGS_LEFT_OUT", "pinterest.tags", message, limits.DESCRIPTION_CHARACTERS, len(left_out))


def _check_link(draft: Draft) -> Iterator[Problem]:
    link = str(draft.options.get("link") or "").strip()
    what, most = "Pinterest takes links", limits.LINK_CHARACTERS
    yield from check_maximum("pinterest.link", what, "characters", len(link), most)
    if link and not _is_web_address(link):
        message = f"Pinterest takes links that begin with http:// or https://; this one is {link[:80]!r}."
        yield refuse("pinterest.link", message, "http or https", link[:80])


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
        yield refuse("media", f"A Pinterest video pin has exactly 1 file; this post has {count}.", 1, count)
    elif not 1 <= count <= most:
        low, high = limits.CAROUSEL
        message = f"Pinterest takes 1 image, or a carousel of {low} to {high}; this post has {count}."
        yield refuse("media", message, most, count)


def _warn_of_cover_fraction(draft: Draft) -> Iterator[Problem]:
    """Warn of a cover between two seconds: the spec's cover_image_key_frame_time is an integer."""
    if isinstance(draft.cover, float) and draft.cover != payload.get_cover_second(draft):
        message = f"Pinterest takes a whole second as cover; of {draft.cover:g}, it gets {int(draft.cover)}."
        yield warn("COVER_ROUNDED", COVER, message, found=draft.cover)


def _check_video(facts: MediaFacts, field: str) -> Iterator[Problem]:
    takes, (low, high), slack = "Pinterest takes videos", limits.VIDEO_RATIO, limits.RATIO_SLACK
    yield from check_allowed(field, f"{takes} of type", facts.content_type, limits.VIDEO_TYPES)
    yield from check_allowed(field, f"{takes} coded as", facts.codec, limits.VIDEO_CODECS)
    yield from check_maximum(field, takes, "bytes", facts.bytes, limits.VIDEO_BYTES)
    yield from check_range(field, takes, "seconds", facts.duration, limits.VIDEO_SECONDS)
    yield from check_range(field, takes, "width:height", compute_ratio(facts), (low - slack, high + slack))


def _check_carousel_sizes(draft: Draft) -> Iterator[Problem]:
    """Warn of images that differ in size: such carousels were reported to be refused, without a vendor's page."""
    shapes = {(m.facts.width, m.facts.height) for m in draft.media if m.facts and m.facts.width}
    if draft.kind == "slideshow" and len(shapes) > 1:
        message = f"Pinterest was seen to refuse carousels whose images differ in size; these have {len(shapes)} sizes."
        yield warn("CAROUSEL_SIZES_DIFFER", "media", message, 1, len(shapes))
