"""Build a pin from a draft: board, title, description with hashtags, link with marker, request body. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from adapters.contract import Account, Draft, Media
from adapters.limit import cut_text
from adapters.pinterest import limits
from adapters.words import Words

MARKERS = ("utm_content", "slipway")
"""Query parameters that may carry the delivery's id; the second where the customer's link uses the first."""
_NOT_IN_TAG = re.compile(r"[^\w]")


def choose_board(draft: Draft, account: Account) -> str | None:
    """Return the board that the request names, else the account's default board, else None."""
    return _to_text(draft.options.get("board_id")) or _to_text(account.settings.get("default_board")) or None


def get_section(draft: Draft) -> str | None:
    """Return the section of the board that the request names."""
    return _to_text(draft.options.get("board_section_id")) or None


def build_title(draft: Draft) -> str:
    """Return the request's title, else the caption's first line, shortened at a word."""
    line = draft.caption.strip().partition("\n")[0].strip()
    return _to_text(draft.options.get("title")) or cut_text(line, limits.TITLE_CHARACTERS, len)


def build_description(draft: Draft) -> str:
    """Return the caption, followed by as many tags as fit, as hashtags."""
    return append_hashtags(draft)[0]


def write_words(draft: Draft) -> Words:
    """Return title and description of the pin; only the caption counts, as tags are added where there is room."""
    most = limits.DESCRIPTION_CHARACTERS
    text = build_description(draft)
    return Words(text=text, title=build_title(draft), length=len(draft.caption), most=most)


def append_hashtags(draft: Draft) -> tuple[str, tuple[str, ...]]:
    """Return the description, and the tags that did not fit or have no character a hashtag may contain."""
    text, left_out = draft.caption, []
    present = {word.casefold() for word in re.findall(r"#\w+", draft.caption)}
    gap = "\n\n"
    for tag in draft.options.get("tags") or ():
        hashtag = build_hashtag(str(tag))
        if hashtag.casefold() in present:
            continue
        if len(hashtag) < 2 or len(text) + len(gap) + len(hashtag) > limits.DESCRIPTION_CHARACTERS:  # noqa: PLR2004
            left_out.append(str(tag))
            continue
        text, gap = f"{text}{gap}{hashtag}", " "
        present.add(hashtag.casefold())
    return text, tuple(left_out)


def build_hashtag(tag: str) -> str:
    """Return a tag as hashtag: ``#homedecor`` for ``home decor``, as a hashtag ends at the first space or sign."""
    return "#" + _NOT_IN_TAG.sub("", tag)


def add_marker(link: str, delivery_id: str) -> str:
    """Return the link with the delivery's id appended to its query; unchanged where there is no room for it."""
    parts = urlsplit(link)
    taken = {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
    name = next((name for name in MARKERS if name not in taken), None)
    if name is None:
        return link
    query = f"{parts.query}&{name}={delivery_id}" if parts.query else f"{name}={delivery_id}"
    marked = urlunsplit(parts._replace(query=query))
    return marked if len(marked) <= limits.LINK_CHARACTERS else link


def has_marker(link: str | None, delivery_id: str) -> bool:
    """Return True if the link's query carries the delivery's id, at whatever position."""
    query = parse_qsl((link or "").partition("?")[2].partition("#")[0])
    return bool(delivery_id) and any(name in MARKERS and value == delivery_id for name, value in query)


def build_link(draft: Draft) -> str | None:
    """Return the pin's link with the marker by which ``look`` recognises this delivery's pin, or None."""
    link = _to_text(draft.options.get("link"))
    return add_marker(link, draft.delivery_id) if link else None


def build_pin(draft: Draft, board_id: str, media_id: str | None) -> dict[str, Any]:
    """Return the body of ``POST /pins``.

    Source: PinCreate in Pinterest's OpenAPI description 5.23.0, read 2026-11-24.
    """
    link = build_link(draft)
    fields = {
        "board_id": board_id,
        "board_section_id": get_section(draft),
        "title": build_title(draft),
        "description": build_description(draft),
        "link": link,
        "alt_text": draft.media[0].alt_text,
    }
    pin: dict[str, Any] = {name: value for name, value in fields.items() if value}
    return {**pin, "media_source": _build_source(draft, media_id, link)}


def _build_source(draft: Draft, media_id: str | None, link: str | None) -> dict[str, Any]:
    if draft.kind == "video":
        return {"source_type": "video_id", "media_id": media_id, **_build_cover(draft)}
    urls = [media.url for media in draft.media]
    if len(urls) == 1:
        return {"source_type": "image_url", "url": urls[0]}
    return {"source_type": "multiple_image_urls", "items": list(_build_items(urls, link)), "index": 0}


def _build_cover(draft: Draft) -> dict[str, Any]:
    if url := draft.cover_url:
        return {"cover_image_url": url}
    return {"cover_image_key_frame_time": get_cover_second(draft)}


def get_cover_second(draft: Draft) -> int:
    """Return the whole second of the video that becomes its cover: rounded down, never after the video's end."""
    return limits.COVER_SECOND if draft.cover is None or isinstance(draft.cover, Media) else int(draft.cover)


def _build_items(urls: Iterable[str], link: str | None) -> Iterable[dict[str, str]]:
    """Yield the cards of a carousel, each with the pin's link."""
    for url in urls:
        yield {"url": url, "link": link} if link else {"url": url}


def _to_text(value: Any) -> str:
    return str(value).strip() if value is not None else ""
