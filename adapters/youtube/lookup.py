"""Read what became of a publish: by its upload session, by its video, or among the channel's uploads."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, TypeAlias

from adapters.base import ArmedPublish, Publish
from adapters.contract import Absent, CannotTell, Draft, Ended, LookResult, Published
from adapters.error_table import Phase
from adapters.errors import AdapterError
from adapters.listing import Asked, ListedPost, Listing, fill, read_pages, split_words
from adapters.youtube import limits, payload
from adapters.youtube.checkpoint import Checkpoint
from adapters.youtube.client import Client, Complete, Incomplete, Refused, ends_session
from adapters.youtube.errors import (
    FAILURES,
    PROCESSING_FAILURES,
    REJECTIONS,
    find_row,
    parse_reason,
    translate_error,
    translate_failure,
)
from adapters.youtube.wire import PlaylistItem, Video

Armed: TypeAlias = ArmedPublish[Checkpoint, Client]
NO_PLAYLIST = "the token's channel is not the account's, or lists no uploads"
_NOT_LIVE = frozenset({"failed", "rejected", "deleted"})
_PROCESSING_FAILED = frozenset({"failed", "terminated"})


# --- by session ------------------------------------------------------------------------------------------------------


def probe_session(publish: Armed) -> LookResult | None:
    """Return what the upload session proves; None if it is gone, or if its last response proves nothing."""
    state = publish.state
    match publish.client.probe_upload(state, Phase.LOOK):
        case Complete(video=video):
            return read_video(publish, video.id, publish.armed_at)
        case Incomplete(session=session) if (
            session != state.session
        ):  # stored first: the old URI may be dead already
            return state.replace(session=session, unsure=True).to_pending()
        case Incomplete(offset=offset, session=session) if offset < state.size:
            resumed = state.record_offset(session, offset, time.time()).replace(unsure=True)
            return Absent(checkpoint=resumed.to_dict())
        case Incomplete():
            return state.to_pending(limits.CAPABILITIES.look_every[0])
        case Refused(response=response):
            row = find_row(response)
            if row is not None and row.of_insert:  # the final outcome of this upload
                return Ended(error=translate_error(response, Phase.LOOK))
            is_bare = parse_reason(response) is None and response.status < HTTPStatus.INTERNAL_SERVER_ERROR
            if not is_bare and not ends_session(response):  # the listing proves no absence, and may be asked
                raise translate_error(response, Phase.LOOK)
    return None


# --- by video --------------------------------------------------------------------------------------------------------


def read_video(publish: Publish[Checkpoint, Client], video_id: str, armed_at: datetime | None) -> LookResult:
    """Read the state of a completed upload. A failed read never unpublishes."""
    try:
        videos = publish.client.list_videos((video_id,), "status,processingDetails")
    except AdapterError as error:
        return _build_published(publish.draft, video_id, status_unread=error.code)
    if not videos:  # deleted since, or not listed yet: the upload was complete
        return _build_published(publish.draft, video_id, upload_status="not_listed")
    return interpret_video(publish.draft, publish.state, videos[0], armed_at)


def interpret_video(draft: Draft, state: Checkpoint, video: Video, armed_at: datetime | None) -> LookResult:
    """Return Ended for a rejected or failed video, Pending for one in processing for a short time, else Published."""
    status, details = video.status, video.processing_details
    if status.upload_status == "rejected":
        return Ended(error=translate_failure(REJECTIONS, status.rejection_reason))
    if status.upload_status == "failed":
        return Ended(error=translate_failure(FAILURES, status.failure_reason))
    if status.upload_status == "uploaded" and details.processing_status in _PROCESSING_FAILED:
        reason = details.processing_failure_reason or "other"
        return Ended(error=translate_failure(PROCESSING_FAILURES, reason))
    is_processing = status.upload_status == "uploaded" and details.processing_status != "succeeded"
    if is_processing and armed_at is not None and datetime.now(UTC) - armed_at < limits.PROCESSING:
        wait = limits.CAPABILITIES.look_every[0]
        return state.replace(video_id=video.id).to_pending(wait)
    notes = {"privacy": status.privacy_status, "upload_status": status.upload_status}
    return _build_published(
        draft, video.id, **{name: value for name, value in notes.items() if value is not None}
    )


def _build_published(draft: Draft, video_id: str, **notes: Any) -> Published:
    if payload.is_short(draft):
        notes["short"] = True
    return Published(remote_id=video_id, url=payload.build_link(draft, video_id), notes=notes)


# --- among the channel's uploads -------------------------------------------------------------------------------------


def find_upload(publish: Armed) -> LookResult:
    """Search the channel's uploads since the session's start for this delivery's video."""
    client, draft, state = publish.client, publish.draft, publish.state
    playlist = _find_uploads_playlist(client, publish.account.remote_id)
    if playlist is None:
        return CannotTell(reason=NO_PLAYLIST)
    since = _compute_earliest(state, publish.armed_at)
    videos, listing = _read_uploads(client, playlist, since)
    if listing.asked is not Asked.ALL:
        return CannotTell(reason=listing.reason)
    video = _choose_upload(draft, state, [video for video in videos if video.id not in publish.taken], since)
    if isinstance(video, CannotTell):
        return video
    result = interpret_video(draft, state, video, publish.armed_at)
    return replace(result, is_searched=True) if isinstance(result, Published) else result


def list_posts(client: Client, channel_id: str, draft: Draft, since: datetime) -> Listing:
    """List the channel's uploads since *since*, compared with the draft; failed and rejected ones are not live."""
    playlist = _find_uploads_playlist(client, channel_id)
    if playlist is None:
        return Listing(asked=Asked.NOT, reason=NO_PLAYLIST)
    videos, listing = _read_uploads(client, playlist, since - limits.CLOCK_SKEW)
    live = [video for video in videos if video.status.upload_status not in _NOT_LIVE]
    return fill(listing, [_compare(video, draft) for video in live], limits.CLOCK_SKEW)


def _read_uploads(client: Client, playlist: str, since: datetime) -> tuple[list[Video], Listing]:
    """Read the uploads since *since*: the list names them, a second read shows them."""

    def read(page: str | None) -> tuple[Sequence[PlaylistItem], str | None]:
        listed = client.list_uploads(playlist, page)
        return listed.items, listed.next_page_token

    items, listing = read_pages(read, lambda item: item.snippet.published_at, since)
    ids = [name for item in items if (name := item.content_details.video_id)]
    videos: list[Video] = []
    for n in range(0, len(ids), limits.PAGE):
        videos += client.list_videos(ids[n : n + limits.PAGE], "fileDetails,snippet,status,processingDetails")
    return videos, listing


def _compare(video: Video, draft: Draft) -> ListedPost:
    """Compare an upload; its file name is the mark by which we know our own."""
    snippet, file, facts = video.snippet, video.file_details, draft.media[0].facts
    name, sizes = _get_stem(file.file_name or ""), (file.file_size, facts.bytes if facts else None)
    shown = (snippet.title, snippet.description)
    expected = (payload.build_title(draft), payload.build_description(draft.caption))
    return ListedPost(
        remote_id=video.id,
        url=payload.build_link(draft, video.id),
        created_at=snippet.published_at,
        same_caption=[split_words(one) for one in shown] == [split_words(one) for one in expected],
        same_kind=True,
        same_media=None if None in sizes else sizes[0] == sizes[1],
        is_marked=name == _get_stem(payload.build_file_name(draft))
        if name.startswith(payload.MARKER)
        else None,
    )


def _choose_upload(
    draft: Draft, state: Checkpoint, uploads: Sequence[Video], since: datetime
) -> Video | CannotTell:
    """Choose the only upload with our file name; if YouTube shows no such name, the only one of our size and title."""
    recent = [
        video
        for video in uploads
        if (video.snippet.published_at is None or video.snippet.published_at >= since)
        and video.file_details.file_size in {None, _get_size(draft, state)}
    ]
    marker = _get_stem(payload.build_file_name(draft))
    named = [video for video in recent if _get_stem(video.file_details.file_name or "") == marker]
    ours = named or [video for video in recent if _has_same_title(video, draft)]
    if len(ours) == 1:
        return ours[0]
    return CannotTell(
        reason=f"the upload session is gone, and {len(ours)} of the channel's uploads could be this one"
    )


def _has_same_title(video: Video, draft: Draft) -> bool:
    """Return True for a video of known size and our title whose file name is not another delivery's."""
    return (
        video.file_details.file_size is not None
        and not (video.file_details.file_name or "").startswith(payload.MARKER)
        and split_words(video.snippet.title or "") == split_words(payload.build_title(draft))
    )


def _get_size(draft: Draft, state: Checkpoint) -> int | None:
    facts = draft.media[0].facts
    return state.size or (facts.bytes if facts else None)


def _find_uploads_playlist(client: Client, channel_id: str) -> str | None:
    found = [one for one in client.list_own_channels("contentDetails") if one.id == channel_id]
    return found[0].content_details.related_playlists.uploads if found else None


def _compute_earliest(state: Checkpoint, armed_at: datetime) -> datetime:
    started_at = datetime.fromtimestamp(state.started_at, UTC) if state.started_at else armed_at
    return min(started_at, armed_at).replace(microsecond=0) - limits.CLOCK_SKEW


def _get_stem(name: str) -> str:
    return name.partition(".")[0].casefold()
