"""How a post becomes a pin: board, title, description with hashtags, marked link, and the body that makes it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from adapters.contract import Account, Draft
from adapters.pinterest import limits

MARKERS = ("utm_content", "slipway")
"""Query parameters that may carry the delivery's id: the second where the customer's link uses the first."""
_NOT_IN_TAG = re.compile(r"[^\w]")


def board_of(draft: Draft, account: Account) -> str | None:
    """The board the request names, else the account's default board."""
    return _text(draft.options.get("board_id")) or _text(account.settings.get("default_board")) or None


def title_of(draft: Draft) -> str:
    """The request's title, else the caption's first line, cut at a word."""
    return _text(draft.options.get("title")) or _cut(draft.caption.strip().partition("\n")[0].strip())


def description_of(draft: Draft) -> str:
    """The caption, and the tags as hashtags behind it as far as they fit."""
    return with_tags(draft)[0]


def with_tags(draft: Draft) -> tuple[str, tuple[str, ...]]:
    """The description, and the tags that did not fit or hold nothing a hashtag can be made of."""
    text, left = draft.caption, []
    present = {word.casefold() for word in re.findall(r"#\w+", draft.caption)}
    gap = "\n\n"
    for tag in draft.options.get("tags") or ():
        hashtag = hashtag_of(str(tag))
        if hashtag.casefold() in present:
            continue
        if len(hashtag) < 2 or len(text) + len(gap) + len(hashtag) > limits.DESCRIPTION_CHARACTERS:  # noqa: PLR2004
            left.append(str(tag))
            continue
        text, gap = f"{text}{gap}{hashtag}", " "
        present.add(hashtag.casefold())
    return text, tuple(left)


def hashtag_of(tag: str) -> str:
    """``home decor`` becomes ``#homedecor``: a hashtag ends at the first space or sign."""
    return "#" + _NOT_IN_TAG.sub("", tag)


def marked(link: str, delivery_id: str) -> str:
    """The link with the delivery's id in its query, the rest as it was sent; unmarked where there is no room."""
    parts = urlsplit(link)
    taken = {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
    name = next((name for name in MARKERS if name not in taken), None)
    if name is None:
        return link
    query = f"{parts.query}&{name}={delivery_id}" if parts.query else f"{name}={delivery_id}"
    with_mark = urlunsplit(parts._replace(query=query))
    return with_mark if len(with_mark) <= limits.LINK_CHARACTERS else link


def is_marked(link: str | None, delivery_id: str) -> bool:
    """Whether a link carries this delivery's id, wherever Pinterest may have put it in the query."""
    query = parse_qsl((link or "").partition("?")[2].partition("#")[0])
    return bool(delivery_id) and any(name in MARKERS and value == delivery_id for name, value in query)


def link_of(draft: Draft) -> str | None:
    """The pin's link as it is sent: marked, so that ``look`` can tell this delivery's pin from its twins."""
    link = _text(draft.options.get("link"))
    return marked(link, draft.delivery_id) if link else None


def body(draft: Draft, board_id: str, media_id: str | None) -> dict[str, Any]:
    """What ``POST /pins`` takes. Source: PinCreate in Pinterest's OpenAPI description 5.23.0, read 2026-11-24."""
    link = link_of(draft)
    fields = {
        "board_id": board_id,
        "title": title_of(draft),
        "description": description_of(draft),
        "link": link,
    }
    pin: dict[str, Any] = {name: value for name, value in fields.items() if value}
    return {**pin, "media_source": _source(draft, media_id, link)}


def _source(draft: Draft, media_id: str | None, link: str | None) -> dict[str, Any]:
    if draft.kind == "video":
        second = limits.COVER_SECOND
        return {"source_type": "video_id", "media_id": media_id, "cover_image_key_frame_time": second}
    urls = [media.url for media in draft.media]
    if len(urls) == 1:
        return {"source_type": "image_url", "url": urls[0]}
    return {"source_type": "multiple_image_urls", "items": list(_items(urls, link)), "index": 0}


def _items(urls: Iterable[str], link: str | None) -> Iterable[dict[str, str]]:
    """Every card of a carousel has a link of its own; all get the pin's."""
    for url in urls:
        yield {"url": url, "link": link} if link else {"url": url}


def _text(value: Any) -> str:
    return str(value).strip() if value is not None else ""


def _cut(line: str) -> str:
    if len(line) <= limits.TITLE_CHARACTERS:
        return line
    head = line[: limits.TITLE_CHARACTERS]
    whole = head.rsplit(" ", 1)[0].rstrip() if not line[limits.TITLE_CHARACTERS].isspace() else head.rstrip()
    return whole or head
