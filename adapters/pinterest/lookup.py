"""Interpret the status of a video and the pins of a board for the publish.

A pin is recognised by the marker in its link, or by its texts where the link has none. A pin that is not found proves
nothing: neither the order nor the lag of a board's list is documented.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from adapters.base import ArmedPublish
from adapters.contract import CannotTell, Draft, Ended, Pending, PrepareResult, Published, Ready
from adapters.errors import AdapterError, Permanent, Rejected, Unavailable
from adapters.listing import ListedPost, Listing, compare_lengths, fill, read_pages, split_words
from adapters.pinterest import limits, payload
from adapters.pinterest.checkpoint import Checkpoint
from adapters.pinterest.client import Client
from adapters.pinterest.errors import GONE
from adapters.pinterest.wire import MediaStatus, Pin


def interpret_status(state: Checkpoint, media: MediaStatus | None) -> Ready | Pending | Ended:
    """Return what the video's status means; *media* is None where Pinterest does not find the video."""
    again = state.poll_again(limits.FIRST_POLL, limits.LONGEST_POLL)
    if media is None:
        lost = Unavailable("Pinterest does not find the uploaded video.", code=GONE)
        return again if state.polls < limits.GONE_READS else Ended(error=lost)
    match media.status:
        case "succeeded":
            return state.replace(processed=True, polls=0).to_ready()
        case "failed":
            return Ended(
                error=Rejected(
                    "Pinterest could not process the video.",
                    code="media_failed",
                    platform_code="failed",
                    next_action="Send the video in another encoding: MP4, H.264 and AAC.",
                )
            )
        case _:
            return again


def restart(state: Checkpoint, error: AdapterError) -> Pending:
    """Return a checkpoint to register from; raise *error* when it is permanent or restarts are used up."""
    return state.restart(Checkpoint(board_id=state.board_id), error, limits.RESTARTS, limits.RESTART_PAUSE)


def restart_if_ended(state: Checkpoint, result: Ready | Pending | Ended) -> PrepareResult:
    """Return *result*, or restart where it is Ended."""
    return restart(state, result.error) if isinstance(result, Ended) else result


def find_pin(publish: ArmedPublish[Checkpoint, Client], board_id: str) -> Published | CannotTell:
    """Return the only pin of the board that is ours, created since arming, and not taken by another delivery.

    Whether a board's list shows the pins of its sections is not documented: the pin's section is read too.
    """
    client, draft = publish.client, publish.draft
    section = payload.get_section(draft)
    try:
        pins = {
            pin.id: pin
            for place in ((None, section) if section else (None,))
            for pin in _list_pins(client, board_id, place)
        }
    except Permanent as error:  # the board is gone or closed to us, which proves nothing about the pin
        return CannotTell(reason=f"The board cannot be read: {error.message}")
    ours = [
        one for one in pins.values() if is_ours(one, draft, publish.armed_at) and one.id not in publish.taken
    ]
    if len(ours) == 1:
        return Published(remote_id=ours[0].id, url=client.build_url(ours[0].id), is_searched=True)
    if ours:
        return CannotTell(reason=f"{len(ours)} pins of the board could be this one")
    return CannotTell(reason="The board does not show the pin, which does not prove that it was not created")


def list_posts(client: Client, draft: Draft, board_id: str | None, since: datetime) -> Listing:
    """List the account's pins since *since*, compared with the draft."""

    def read(bookmark: str | None) -> tuple[Sequence[Pin], str | None]:
        page = client.list_own_pins(bookmark)
        return page.items, page.bookmark or None

    pins, listing = read_pages(read, lambda pin: pin.created_at, since - limits.CLOCK_SKEW)
    return fill(
        listing, [_compare(pin, draft, board_id, client.build_url(pin.id)) for pin in pins], limits.CLOCK_SKEW
    )


def _compare(pin: Pin, draft: Draft, board_id: str | None, url: str) -> ListedPost:
    """Compare a pin; one on another board or in another section is of another kind.

    The marker in its link is the mark of a delivery.
    """
    link = payload.build_link(draft)
    is_marked = payload.has_marker(link, draft.delivery_id) and payload.has_marker(
        pin.link, draft.delivery_id
    )
    expected = "video" if draft.kind == "video" else "image" if len(draft.media) == 1 else "multiple_images"
    same_type = None if pin.media_type is None else pin.media_type == expected
    places = ((pin.board_id, board_id), (pin.board_section_id, payload.get_section(draft)))
    is_elsewhere = any(None not in pair and pair[0] != pair[1] for pair in places)
    return ListedPost(
        remote_id=pin.id,
        url=url,
        created_at=pin.created_at,
        same_caption=_has_same_texts(pin, draft) and (pin.link or None) == link,
        same_kind=False if is_elsewhere else same_type,
        same_media=_compare_media(pin, draft) if same_type else same_type,
        is_marked=is_marked or None,
    )


def _compare_media(pin: Pin, draft: Draft) -> bool | None:
    """Compare the files of a pin of the draft's type."""
    if draft.kind == "video":
        return compare_lengths((pin.duration or 0) / 1000, draft.media[0].facts)
    if len(draft.media) == 1:
        return True
    return None if pin.items is None else len(pin.items) == len(draft.media)


def is_ours(pin: Pin, draft: Draft, armed_at: datetime) -> bool:
    """Return True if the pin was created since arming and carries the marker.

    Where the link could carry no marker, link, title and description have to be equal.
    """
    if pin.created_at is None or pin.created_at < armed_at - limits.CLOCK_SKEW:
        return False
    link = payload.build_link(draft)
    if payload.has_marker(link, draft.delivery_id):
        return payload.has_marker(pin.link, draft.delivery_id)
    return _has_same_texts(pin, draft) and (pin.link or None) == link


def _has_same_texts(pin: Pin, draft: Draft) -> bool:
    pairs = ((pin.title, payload.build_title(draft)), (pin.description, payload.build_description(draft)))
    return all(split_words(found) == split_words(expected) for found, expected in pairs)


def _list_pins(client: Client, board_id: str, section: str | None) -> Iterator[Pin]:
    bookmark = None
    for _ in range(limits.PAGES):
        page = client.list_pins(board_id, bookmark, section)
        yield from page.items
        bookmark = page.bookmark
        if not bookmark:
            return
