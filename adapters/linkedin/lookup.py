"""Read the status of media and the posts of an organization, and interpret both for the publish."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TypeAlias
from urllib.parse import unquote

from adapters.base import ArmedPublish
from adapters.contract import CannotTell, Draft, Ended, LookResult, Pending, Published, Ready
from adapters.error_table import Phase
from adapters.errors import AdapterError, NeedsPerson, OutcomeUnknown, Permanent, Rejected, Unavailable
from adapters.http import Response
from adapters.linkedin import limits
from adapters.linkedin.checkpoint import Checkpoint, FileUpload, Step, choose_next_step, get_first_pause
from adapters.linkedin.client import Client
from adapters.linkedin.errors import (
    DENIED,
    DUPLICATE,
    GONE,
    RESOURCE_FORBIDDEN,
    STALE_UPLOAD,
    build_unclear_error,
    find_duplicate,
    translate_error,
)
from adapters.linkedin.payload import escape_little_text
from adapters.linkedin.wire import MediaStatus, Post
from adapters.listing import ListedPost, Listing, fill, read_pages
from adapters.platform_message import clean_message

Armed: TypeAlias = ArmedPublish[Checkpoint, Client]
NO_LISTING = "a member's posts cannot be listed"
_URN = re.compile(r"urn:li:(?:share|ugcPost):[A-Za-z0-9_-]+")

# --- media -----------------------------------------------------------------------------------------------------------


def read_status(client: Client, draft: Draft, state: Checkpoint, index: int) -> Ready | Pending | Ended:
    """Read the status of one file and return what it means; a token may lack the right to read it."""
    try:
        status = client.read_status(state.get_file(index).urn)
    except AdapterError as error:
        if error.code not in (DENIED, RESOURCE_FORBIDDEN):
            raise
        return skip_status_read(draft, state, index)
    return interpret_status(draft, state, index, status)


def interpret_status(
    draft: Draft, state: Checkpoint, index: int, media: MediaStatus | None
) -> Ready | Pending | Ended:
    """Return what the status of one file means; *media* is None where LinkedIn does not find the file."""
    again = state.poll_again(get_first_pause(draft), limits.LONGEST_POLL)
    if media is None:
        return again if state.polls < limits.GONE_READS else Ended(error=_build_lost_error())
    match media.status:
        case "AVAILABLE":
            file = state.get_file(index).replace(available=True)
            return _continue(draft, state.replace_file(index, file).replace(polls=0))
        case "PROCESSING_FAILED":
            return Ended(error=_build_failed_error(media.processingFailureReason))
        case "WAITING_UPLOAD" if state.get_file(index).doubtful:
            return Ended(error=_build_lost_error())
        case _:
            return again


def skip_status_read(draft: Draft, state: Checkpoint, index: int) -> Ready | Pending | Ended:
    """Return the checkpoint to continue with when the token may not read statuses; Ended for a doubtful upload."""
    if state.get_file(index).doubtful:
        return Ended(error=_build_lost_error())
    return _continue(draft, state.replace(unreadable=True, polls=0))


def restart_file(state: Checkpoint, index: int, error: AdapterError) -> Pending:
    """Return a checkpoint that uploads one file again; raise *error* when permanent or restarts are used up."""
    pause = timedelta(0) if error.code == STALE_UPLOAD else limits.RESTART_PAUSE
    return state.restart(state.replace_file(index, FileUpload()), error, limits.RESTARTS, pause)


def _continue(draft: Draft, state: Checkpoint) -> Ready | Pending:
    is_done = choose_next_step(draft, state)[0] is Step.DONE
    return state.to_ready() if is_done else state.to_pending()


def _build_lost_error() -> Unavailable:
    return Unavailable("LinkedIn does not have the uploaded media.", code=GONE)


def _build_failed_error(reason: str) -> Rejected:
    return Rejected(
        "LinkedIn could not process the media.",
        code="media_failed",
        platform_code="PROCESSING_FAILED",
        next_action="Send the file in another encoding.",
        platform_message=clean_message(reason),
    )


# --- posts -----------------------------------------------------------------------------------------------------------


def interpret_created_post(
    response: Response, state: Checkpoint, www: str, *, is_readable: bool
) -> Published | Pending:
    """Return the post that the response of ``POST /rest/posts`` confirms.

    The duplicate that a refusal names counts only if this delivery was armed before, and where posts are readable only
    once ``look`` has read it: such URNs were seen to lead nowhere, a new one per try (ComposioHQ/composio#2710).
    Raises OutcomeUnknown for other duplicates, and for a success without the post's URN: such posts were seen not to
    appear.
    """
    duplicate = find_duplicate(response)
    if duplicate and state.armed_before:
        if is_readable:
            return state.replace(duplicate=duplicate).to_pending()
        return _build_duplicate(duplicate, www)
    if duplicate is not None:
        raise OutcomeUnknown(
            "LinkedIn calls this a duplicate, which does not prove that the post is live.",
            platform_code=DUPLICATE,
            http_status=response.status,
        )
    if response.status not in (HTTPStatus.OK, HTTPStatus.CREATED):
        raise translate_error(response, Phase.FINALIZE)
    urn = unquote(response.headers.get("x-restli-id", "")).strip()
    if not _URN.fullmatch(urn):
        raise build_unclear_error(Phase.FINALIZE, platform_code="no_restli_id", status=response.status)
    return Published(remote_id=urn, url=build_url(urn, www))


def _build_duplicate(urn: str, www: str) -> Published:
    return Published(remote_id=urn, url=build_url(urn, www), notes={"duplicate": True})


def build_url(urn: str, www: str) -> str:
    """Return the public address of a post."""
    return f"{www}/feed/update/{urn}/"


def find_post(publish: Armed) -> LookResult:
    """Return the duplicate that LinkedIn has named, once read, or the organization's only listed post that is ours.

    Only our posts have these media URNs; the text distinguishes two posts of the same media. One without media has our
    words and link, and came after arming. A post that is not listed proves nothing.
    """
    draft, state, client = publish.draft, publish.state, publish.client
    if state.duplicate and state.duplicate not in publish.taken:
        named = _read_duplicate(client, draft, state)
        if named is not None:
            return named
    if draft.media and not any(state.urns):
        reason = "no media are known by which the post could be recognised"
        return CannotTell(reason=reason, is_final=not state.duplicate)
    try:
        posts = client.list_posts(publish.account.remote_id)
    except (Permanent, NeedsPerson) as error:
        if isinstance(error, NeedsPerson) and error.code != DENIED:
            raise
        return CannotTell(reason=f"The organization's posts cannot be listed: {error.message}")
    earliest = publish.armed_at.replace(microsecond=0) - limits.CLOCK_SKEW
    ours = [post for post in posts if post.id not in publish.taken and _is_ours(post, draft, state, earliest)]
    if len(ours) > 1:
        ours = [post for post in ours if _has_same_text(post, draft)]
    if len(ours) != 1:
        return CannotTell(reason=f"LinkedIn lists {len(ours)} posts that could be this one")
    return _interpret_post(ours[0], state, client.www, is_searched=not draft.media)


def _is_ours(post: Post, draft: Draft, state: Checkpoint, earliest: datetime) -> bool:
    if draft.media:
        return _get_urns(post) == frozenset(state.urns)
    created = to_time(post.createdAt)
    is_same = _has_same_text(post, draft) and not _get_urns(post) and _has_same_link(post, draft)
    return is_same and created is not None and created >= earliest


def list_posts(client: Client, author: str, draft: Draft, since: datetime) -> Listing:
    """List the organization's posts since *since*, compared with the draft; a failed one is not live."""

    def read(start: int | None) -> tuple[Sequence[Post], int | None]:
        page = client.list_posts(author, start or 0)
        return page, (start or 0) + len(page) if len(page) == limits.LISTED else None

    posts, listing = read_pages(read, lambda post: to_time(post.lastModifiedAt), since - limits.CLOCK_SKEW)
    live = [post for post in posts if post.lifecycleState == "PUBLISHED"]
    return fill(listing, [_compare(post, draft, client.www) for post in live], limits.CLOCK_SKEW)


def _compare(post: Post, draft: Draft, www: str) -> ListedPost:
    """Compare a listed post by the types of its media's URNs and their number, one without media by its link."""
    urns, kinds = _get_urns(post), {media.kind for media in draft.media}
    return ListedPost(
        remote_id=post.id,
        url=build_url(post.id, www),
        created_at=to_time(post.createdAt),
        same_caption=_has_same_text(post, draft),
        same_kind={urn.removeprefix("urn:li:").partition(":")[0] for urn in urns} == kinds,
        same_media=len(urns) == len(draft.media) and _has_same_link(post, draft),
    )


def to_time(milliseconds: int | None) -> datetime | None:
    """Return the time of LinkedIn's milliseconds since the epoch."""
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)


def _read_duplicate(client: Client, draft: Draft, state: Checkpoint) -> LookResult | None:
    """Return the state of the duplicate if it has our text or media; None if it is not found or another post."""
    try:
        post = client.read_post(state.duplicate)
    except NeedsPerson as error:
        if error.code != DENIED:
            raise
        return _build_duplicate(
            state.duplicate, client.www
        )  # reading is not allowed: the delivery was armed before
    has_same_media = any(state.urns) and post is not None and _get_urns(post) == frozenset(state.urns)
    if post is None or not (has_same_media or _has_same_text(post, draft)):
        return None
    result = _interpret_post(post, state, client.www)
    return _build_duplicate(post.id, client.www) if isinstance(result, Published) else result


def _has_same_text(post: Post, draft: Draft) -> bool:
    return post.commentary.split() == escape_little_text(draft.caption).split()


def _get_urns(post: Post) -> frozenset[str]:
    return post.content.urns if post.content else frozenset()


def _has_same_link(post: Post, draft: Draft) -> bool:
    article = post.content.article if post.content else None
    return (article.source if article else "") == (draft.options.get("link") or "")


def _interpret_post(post: Post, state: Checkpoint, www: str, *, is_searched: bool = False) -> LookResult:
    match post.lifecycleState:
        case "PUBLISHED":
            return Published(remote_id=post.id, url=build_url(post.id, www), is_searched=is_searched)
        case "PUBLISH_REQUESTED":
            return state.to_pending()
        case "PUBLISH_FAILED":
            error = Rejected(
                "LinkedIn accepted the post and then failed to publish it.",
                code="publish_failed",
                platform_code="PUBLISH_FAILED",
            )
            return Ended(error=error)
        case status:
            return CannotTell(reason=f"LinkedIn shows the post as {status[:40]}")
