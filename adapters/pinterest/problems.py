"""Why a draft cannot go out on Pinterest: every limit that the facts at hand show to be broken. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from adapters.contract import Account, Draft, Media, MediaFacts, Problem
from adapters.pinterest import limits
from adapters.pinterest import payload as pin

Found = str | int | float | None


def problems(draft: Draft, account: Account) -> list[Problem]:
    """All of them together; a fact that could not be told is not held against the draft."""
    found = [*_board(draft, account), *_texts(draft), *_link(draft), *_count(draft)]
    for index, media in enumerate(draft.media):
        found += _media(draft, media, _field(draft, index))
    return [*found, *_sizes(draft)]


def no_board(account: Account) -> str:
    """The sentence for a pin that has nowhere to go."""
    return (
        "A pin needs a board: the request names none (pinterest.board_id) and the Pinterest account "
        f"{account.username} has no default board."
    )


def _refuse(field: str, message: str, limit: Found = None, found: Found = None) -> Problem:
    return Problem(
        severity="refuse", code="validation_failed", field=field, message=message, limit=limit, found=found
    )


def _field(draft: Draft, index: int) -> str:
    return "media.url" if draft.kind == "video" else f"media.urls[{index}]"


def _board(draft: Draft, account: Account) -> Iterator[Problem]:
    board = pin.board_of(draft, account)
    if board is None:
        yield _refuse("pinterest.board_id", no_board(account), "a board", None)
    elif not (board.isascii() and board.isdecimal()):
        message = f"A Pinterest board's id consists of digits only; this one is {board!r}."
        yield _refuse("pinterest.board_id", message, "digits", board)


def _texts(draft: Draft) -> Iterator[Problem]:
    rows = (
        ("caption", "descriptions", len(draft.caption), limits.DESCRIPTION_CHARACTERS),
        ("pinterest.title", "titles", len(pin.title_of(draft)), limits.TITLE_CHARACTERS),
    )
    for field, what, found, limit in rows:
        if found > limit:
            message = f"Pinterest takes {what} of at most {limit} characters; this one has {found}."
            yield _refuse(field, message, limit, found)
    left = pin.with_tags(draft)[1]
    if left:
        yield Problem(
            severity="warn",
            code="TAGS_LEFT_OUT",
            field="pinterest.tags",
            message=(
                f"Tags become hashtags at the end of the description, which takes {limits.DESCRIPTION_CHARACTERS} "
                f"characters; {len(left)} of them will be left out, beginning with {left[0]!r}."
            ),
            limit=limits.DESCRIPTION_CHARACTERS,
            found=len(left),
        )


def _link(draft: Draft) -> Iterator[Problem]:
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


def _count(draft: Draft) -> Iterator[Problem]:
    most, count = (1 if draft.kind == "video" else limits.CAROUSEL[1]), len(draft.media)
    if draft.kind == "video" and count != 1:
        yield _refuse("media", f"A Pinterest video pin has exactly 1 file; this post has {count}.", 1, count)
    elif not 1 <= count <= most:
        low, high = limits.CAROUSEL
        message = f"Pinterest takes 1 image, or a carousel of {low} to {high}; this post has {count}."
        yield _refuse("media", message, most, count)


def _media(draft: Draft, media: Media, field: str) -> Iterator[Problem]:
    wanted = "video" if draft.kind == "video" else "image"
    if media.kind != wanted:
        message = f"Here Pinterest takes one {wanted}; this is one {media.kind}."
        yield _refuse(field, message, wanted, media.kind)
    elif media.facts is not None:
        yield from _video(media.facts, field) if wanted == "video" else _image(media.facts, field)


def _image(facts: MediaFacts, field: str) -> Iterator[Problem]:
    yield from _one_of("images of type", facts.content_type, limits.IMAGE_TYPES, field)
    yield from _at_most("images", facts.bytes, limits.IMAGE_BYTES, field)


def _video(facts: MediaFacts, field: str) -> Iterator[Problem]:
    yield from _one_of("videos of type", facts.content_type, limits.VIDEO_TYPES, field)
    yield from _one_of("videos coded as", facts.codec, limits.VIDEO_CODECS, field)
    yield from _at_most("videos", facts.bytes, limits.VIDEO_BYTES, field)
    yield from _within("seconds", facts.duration, limits.VIDEO_SECONDS, field)
    low, high = limits.VIDEO_RATIO
    slack = limits.RATIO_SLACK
    yield from _within("width:height", _ratio(facts), (low - slack, high + slack), field)


def _sizes(draft: Draft) -> Iterator[Problem]:
    """Carousels whose images differ in shape were reported to be refused; no page of Pinterest says so: a warning."""
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


def _ratio(facts: MediaFacts) -> float | None:
    return round(facts.width / facts.height, 3) if facts.width and facts.height else None


def _one_of(what: str, found: str | None, allowed: tuple[str, ...], field: str) -> Iterator[Problem]:
    if found is not None and found.lower() not in allowed:
        names = " or ".join(allowed)
        yield _refuse(field, f"Pinterest takes {what} {names}; this one is {found}.", names, found)


def _at_most(what: str, found: int, limit: int, field: str) -> Iterator[Problem]:
    if found > limit:
        message = f"Pinterest takes {what} of at most {limit} bytes; this one has {found}."
        yield _refuse(field, message, limit, found)


def _within(rule: str, found: float | None, limit: tuple[float, float], field: str) -> Iterator[Problem]:
    if found is not None and not limit[0] <= found <= limit[1]:
        span = f"{limit[0]:g} to {limit[1]:g}"
        yield _refuse(field, f"Pinterest takes videos of {span} {rule}; this one has {found}.", span, found)
