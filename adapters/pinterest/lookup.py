"""Which pin of a board is this delivery's: by the mark in its link, or by its texts where it has no link.

Not finding it never counts as proof: neither the order nor the lag of a board's list is documented.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Container, Iterator
from datetime import datetime

from adapters.contract import CannotTell, Draft, Published
from adapters.errors import Permanent
from adapters.pinterest import limits
from adapters.pinterest import payload as pin
from adapters.pinterest.client import Calls
from adapters.pinterest.wire import Pin


def search(
    calls: Calls, draft: Draft, board_id: str, armed_at: datetime, taken: Container[str], www: str
) -> Published | CannotTell:
    """The only pin of the board that is ours, made since arming, and no other delivery's."""
    try:
        pins = {one.id: one for one in _newest(calls, board_id)}
    except Permanent as error:  # the board is gone or closed to us: that tells nothing about the pin
        return CannotTell(reason=f"The board cannot be read: {error.message}")
    ours = [one for one in pins.values() if is_ours(one, draft, armed_at) and one.id not in taken]
    if len(ours) == 1:
        return Published(remote_id=ours[0].id, url=url_of(ours[0].id, www))
    if ours:
        return CannotTell(reason=f"{len(ours)} pins of the board could be this one")
    return CannotTell(reason="The board does not show the pin, which does not prove that it was not made")


def is_ours(one: Pin, draft: Draft, armed_at: datetime) -> bool:
    """Made since arming and marked; where the link could carry no mark, with the same link, title and description."""
    if one.created_at is None or one.created_at < armed_at - limits.CLOCK_SKEW:
        return False
    link = pin.link_of(draft)
    if pin.is_marked(link, draft.delivery_id):
        return pin.is_marked(one.link, draft.delivery_id)
    same_texts = _words(one.title) == _words(pin.title_of(draft)) and _words(one.description) == _words(
        pin.description_of(draft)
    )
    return same_texts and (one.link or None) == link


def url_of(pin_id: str, www: str) -> str:
    """Where people see a pin."""
    return f"{www}/pin/{pin_id}/"


def _newest(calls: Calls, board_id: str) -> Iterator[Pin]:
    bookmark = None
    for _ in range(limits.PAGES):
        page = calls.pins(board_id, bookmark)
        yield from page.items
        bookmark = page.bookmark
        if not bookmark:
            return


def _words(text: str | None) -> list[str]:
    return unicodedata.normalize("NFC", text or "").split()
