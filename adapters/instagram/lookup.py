"""Interpret a container's status for the publish, and find the post that a PUBLISHED container became."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial

from adapters.base import Publish
from adapters.contract import CannotTell, Draft, Ended, LookResult, Pending, PrepareResult, Published, Ready
from adapters.errors import AdapterError
from adapters.graph_stories import is_story, limit_story_listing
from adapters.instagram import limits
from adapters.instagram.checkpoint import Checkpoint
from adapters.instagram.client import Client
from adapters.instagram.errors import EXPIRED, build_expired_error, build_status_error
from adapters.instagram.wire import ContainerStatus, MediaNode
from adapters.listing import ListedPost, Listing, fill, read_pages, split_words


def get_first_pause(draft: Draft) -> timedelta:
    """Return the pause before the first read."""
    has_video = any(media.kind == "video" for media in draft.media)
    return limits.FIRST_POLL_VIDEO if has_video else limits.FIRST_POLL_IMAGE


def interpret_unarmed_status(
    draft: Draft, state: Checkpoint, status: ContainerStatus | None
) -> Ready | Pending | Ended:
    """Return what the awaited container's status means before arming, when nothing is visible."""
    again = state.poll_again(get_first_pause(draft), limits.LONGEST_POLL)
    if status is None:
        return again if state.polls < limits.GONE_READS else Ended(error=build_expired_error())
    match status.status_code:
        case "FINISHED" if state.container is None:
            return state.replace(ready=state.ready + 1, polls=0).to_pending()
        case "FINISHED":
            return state.replace(polls=0).to_ready()
        case "EXPIRED":
            return Ended(error=build_expired_error())
        case "ERROR":
            return Ended(error=build_status_error(status.status))
        case _:  # IN_PROGRESS, or an unexpected PUBLISHED, which the next look settles
            return again


def restart_if_ended(state: Checkpoint, result: Ready | Pending | Ended | AdapterError) -> PrepareResult:
    """Return *result*, or for an error an empty checkpoint; raise it when permanent or restarts are used up."""
    if isinstance(result, (Ready, Pending)):
        return result
    error = result.error if isinstance(result, Ended) else result
    pause = timedelta(0) if error.code == EXPIRED else limits.RESTART_PAUSE
    return state.restart(Checkpoint(), error, limits.RESTARTS, pause)


def interpret_armed_status(state: Checkpoint, status: ContainerStatus | None) -> LookResult:
    """Return what the status means after arming; FINISHED means not published, so the same container may go again."""
    if status is None:  # a container that is not found may have been published
        return CannotTell(reason="Instagram does not find the container")
    match status.status_code:
        case "FINISHED":
            return state.replace(polls=0).to_ready()
        case "EXPIRED":
            return Ended(error=build_expired_error())
        case "ERROR":
            return Ended(error=build_status_error(status.status))
        case _:
            return state.poll_again(limits.FIRST_POLL_VIDEO, limits.LONGEST_POLL)


def is_published(state: Checkpoint, status: ContainerStatus | None) -> bool:
    """Return True if the container to publish is."""
    return status is not None and status.status_code == "PUBLISHED" and state.container is not None


def find_published_post(
    publish: Publish[Checkpoint, Client], armed_at: datetime | None
) -> Published | Pending:
    """Return the post of a PUBLISHED container: the only one with its caption since arming that is not taken.

    A container does not name its post, and a story has no caption: it is the only one of its type since arming. When
    none or several match, the list is read a few times more, since it lags and a twin may be settled in that time; then
    the container's id stands for the post, which is proven live.
    """
    draft, state, client = publish.draft, publish.state, publish.client
    listed, _ = client.list_stories() if is_story(draft) else client.list_media(**_build_window(armed_at))
    found = [node for node in listed if node.id not in publish.taken and _is_ours(node, draft, armed_at)]
    if len(found) == 1:
        return Published(remote_id=found[0].id, url=found[0].permalink)
    if state.listings < limits.LISTINGS or state.container is None:
        pause = min(limits.LONGEST_POLL, limits.FIRST_POLL_VIDEO * 2**state.listings)
        return state.replace(listings=state.listings + 1).to_pending(pause)
    return Published(remote_id=state.container, notes={"remote_id_is": "container", "candidates": len(found)})


def _build_window(armed_at: datetime | None) -> dict[str, str]:
    if armed_at is None:
        return {}
    since = int((armed_at - limits.CLOCK_SKEW).timestamp())
    return {"since": str(since), "until": str(since + int(limits.CONTAINER_LIFE.total_seconds()))}


def _is_ours(node: MediaNode, draft: Draft, armed_at: datetime | None) -> bool:
    is_early = armed_at is not None and (
        node.timestamp is None or node.timestamp < armed_at.replace(microsecond=0) - limits.CLOCK_SKEW
    )
    is_same = (
        node.media_type == _list_types(draft)[0]
        if is_story(draft)
        else split_words(node.caption) == split_words(draft.caption)
    )
    return not is_early and is_same


# --- without a container ---------------------------------------------------------------------------------------------


def list_posts(client: Client, draft: Draft, since: datetime) -> Listing:
    """List the account's posts since *since*, compared with the draft: its stories for a story, else the others."""
    earliest = since - limits.CLOCK_SKEW
    window = {"since": str(int(earliest.timestamp()))}
    read = client.list_stories if is_story(draft) else partial(client.list_media, **window)
    found, listing = read_pages(read, lambda node: node.timestamp, earliest)
    if is_story(draft):
        listing = limit_story_listing(listing, since)
    return fill(listing, [_compare(node, draft) for node in found], limits.CLOCK_SKEW)


def _list_types(draft: Draft) -> list[str]:
    return ["VIDEO" if media.kind == "video" else "IMAGE" for media in draft.media]


def _compare(node: MediaNode, draft: Draft) -> ListedPost:
    types = _list_types(draft)
    expected = "CAROUSEL_ALBUM" if len(types) > 1 else types[0]
    same_type = None if node.media_type is None else node.media_type == expected
    same_kind, same_media = same_type, same_type
    if same_type and expected == "VIDEO":
        same_kind = None if node.media_product_type is None else node.media_product_type == "REELS"
    if same_type and is_story(draft):
        same_kind = node.media_product_type == "STORY"
    if same_type and expected == "CAROUSEL_ALBUM":
        parts = node.children.data if node.children else ()
        same_media = [part.media_type for part in parts] == types if parts else None
    return ListedPost(
        remote_id=node.id,
        url=node.permalink,
        created_at=node.timestamp,
        same_caption=None if is_story(draft) else split_words(node.caption) == split_words(draft.caption),
        same_kind=same_kind,
        same_media=same_media,
    )
