"""Interpret the status of a post or video for the publish, before and after arming; and list the Page's posts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import TypeAlias

from adapters.base import ArmedPublish
from adapters.contract import (
    Absent,
    CannotTell,
    CheckpointData,
    Draft,
    Ended,
    LookResult,
    Pending,
    Published,
    Ready,
)
from adapters.errors import AdapterError, Rejected, Unavailable
from adapters.facebook import limits
from adapters.facebook.checkpoint import Checkpoint, PostKind, get_post_kind
from adapters.facebook.client import Client
from adapters.facebook.wire import ListedStory, ListedVideo, PostNode, VideoNode, VideoStatus
from adapters.graph_errors import GONE
from adapters.graph_stories import limit_story_listing
from adapters.listing import Asked, ListedPost, Listing, compare_lengths, fill, read_pages, split_words
from adapters.platform_message import clean_message
from adapters.transport import read_or_none

Armed: TypeAlias = ArmedPublish[Checkpoint, Client]
Unarmed: TypeAlias = Ready | Pending | Ended | Published
FAILED = "upload_failed"
_FAILED_STATUSES = {"upload_failed": "the upload failed", "expired": "the upload expired"}
_UPLOADED_STATUSES = frozenset({"upload_complete", "ready"})
_WORKING_STATUSES = frozenset({"processing", "in_progress"})


def poll_again(state: Checkpoint) -> Pending:
    """Return Pending with a growing pause before the next read."""
    return state.poll_again(state.first_pause, limits.LONGEST_POLL)


def restart(state: Checkpoint, error: AdapterError) -> Pending:
    """Return an empty checkpoint to prepare from; raise *error* when it is permanent or restarts are used up."""
    return state.restart(Checkpoint(again=state.again), error, limits.RESTARTS, limits.RESTART_PAUSE)


# --- feed ------------------------------------------------------------------------------------------------------------


def interpret_unarmed_post(state: Checkpoint, post: PostNode | None) -> Unarmed:
    """Return Ready once the unpublished post can be read; a fresh one may be missing for seconds."""
    if post is None and state.polls >= limits.GONE_READS:
        return Ended(error=Unavailable("Facebook does not find the unpublished post", code=FAILED))
    if post is None:
        return poll_again(state)
    if post.is_published and state.post is not None:
        return Published(remote_id=state.post, url=post.permalink_url)
    return state.replace(polls=0).to_ready()


def interpret_armed_post(state: Checkpoint, post: PostNode | None) -> LookResult:
    """Return Published or Absent by ``is_published``, which proves both; Absent keeps the same post."""
    if post is None or post.is_published is None or state.post is None:
        return CannotTell(reason="Facebook does not say whether the post is visible")
    if post.is_published:
        return Published(remote_id=state.post, url=post.permalink_url)
    return Absent(checkpoint=state.replace(again=True, polls=0).to_dict())


def find_direct_post(publish: Armed, posts: Sequence[PostNode]) -> LookResult:
    """Return the only visible post with the draft's text since arming that no other delivery owns."""
    earliest = publish.armed_at.replace(microsecond=0) - limits.CLOCK_SKEW
    found = [
        post
        for post in posts
        if post.id not in publish.taken
        and post.created_time is not None
        and post.created_time >= earliest
        and split_words(post.message) == split_words(publish.draft.caption)
    ]
    if len(found) == 1:
        return Published(remote_id=found[0].id, url=found[0].permalink_url, is_searched=True)
    if found:
        return CannotTell(reason="More than one post with this text appeared since arming")
    return Absent(checkpoint=publish.state.replace(again=True).to_dict())


# --- videos and reels ------------------------------------------------------------------------------------------------


def find_failure(status: VideoStatus) -> AdapterError | None:
    """Return why a video will never appear, or None. A phase's error object counts whatever the phase's status."""
    for phase in (status.processing_phase, status.publishing_phase):
        if phase is not None and (phase.error is not None or phase.status == "error"):
            words = clean_message(phase.error.message if phase.error else None)
            return Rejected("Facebook could not process the video", platform_message=words)
    if status.uploading_phase is not None and status.uploading_phase.error is not None:
        return Unavailable("Facebook: the upload failed", code=FAILED)
    if status.video_status in _FAILED_STATUSES:
        return Unavailable(f"Facebook: {_FAILED_STATUSES[status.video_status]}", code=FAILED)
    if status.video_status == "error":
        return Rejected("Facebook could not process the video")
    return None


def is_live(video: VideoNode) -> bool:
    """Return True if the publishing phase, or without one the video itself, says that the video is published."""
    phase = video.status.publishing_phase
    if phase is not None:
        return phase.is_done and phase.publish_status == "published"
    return video.status.video_status == "ready" and video.published is True


def has_all_bytes(status: VideoStatus) -> bool:
    """Return True if the upload is complete."""
    return (
        status.uploading_phase.is_done
        if status.uploading_phase
        else status.video_status in _UPLOADED_STATUSES
    )


def interpret_unarmed_video(state: Checkpoint, video: VideoNode | None, www: str) -> Unarmed:
    """Return Ready when a reel's bytes are complete; else Pending with the offset to continue from."""
    if video is None:
        lost = Ended(error=Unavailable("Facebook does not find the video", code=FAILED))
        return lost if state.polls >= limits.GONE_READS else poll_again(state)
    if is_live(video) and state.video_id is not None:
        return Published(remote_id=state.video_id, url=_build_url(video.permalink_url, www))
    error = find_failure(video.status)
    if error is not None:
        return Ended(error=error)
    if has_all_bytes(video.status):
        return state.replace(sent=True, polls=0).to_ready()
    if state.sent:
        return poll_again(state)
    phase = video.status.uploading_phase
    return state.replace(offset=phase.bytes_sent if phase else 0, polls=0).to_pending()


def interpret_armed_video(state: Checkpoint, video: VideoNode | None, www: str) -> LookResult:
    """Return Published, Ended, Pending, or Absent for a video that is not finished and may be finished again."""
    if video is None or state.video_id is None:
        return CannotTell(reason="Facebook does not find the video")
    if is_live(video):
        return Published(remote_id=state.video_id, url=_build_url(video.permalink_url, www))
    error = find_failure(video.status)
    if error is not None:
        return Ended(error=error)
    if state.accepted or _is_finished(video):
        return poll_again(state)
    return Absent(checkpoint=_mark_unfinished(state))


def _mark_unfinished(state: Checkpoint) -> CheckpointData:
    return state.replace(again=True, polls=0).to_dict()


def _is_finished(video: VideoNode) -> bool:
    """Return True if a finish has reached Facebook: it is processing, or has a publish status."""
    status, phase = video.status, video.status.publishing_phase
    statuses = {status.video_status, *(part.status for part in (status.processing_phase, phase) if part)}
    # only a finish sets publish_status
    has_publish_status = phase is not None and phase.publish_status in {"published", "scheduled"}
    return has_publish_status or bool(statuses & _WORKING_STATUSES) or video.published is True


def _build_url(link: str | None, www: str) -> str | None:
    return f"{www}{link}" if link and link.startswith("/") else link


def resume_upload(state: Checkpoint, error: AdapterError) -> Pending:
    """Return Pending without an offset, so that it is read first; raise *error* after too many interruptions."""
    if state.cuts >= limits.CUTS:
        raise error
    wait: timedelta = limits.CUT_PAUSE * 2**state.cuts
    return state.replace(offset=None, cuts=state.cuts + 1).to_pending(wait)


# --- stories ---------------------------------------------------------------------------------------------------------


def look_story(publish: Armed) -> LookResult:
    """Return what became of an armed story, which is listed under the photo or video that it was made of.

    A photo that no story of the last 24 hours shows is absent; of a video its own status decides.
    """
    client, state = publish.client, publish.state
    handle = state.video_id or next(iter(state.photos), None)
    if handle is None:
        return CannotTell(reason="no photo or video is known that could have been shown", is_final=True)
    stories, listing = _read_stories(client, publish.armed_at - limits.CLOCK_SKEW)
    shown = next((one for one in stories if one.media_id == handle), None)
    if shown is not None:
        return Published(remote_id=shown.post_id, url=shown.url)
    if state.video_id is not None:
        video = read_or_none(GONE, lambda: client.read_video(handle))
        result = interpret_armed_video(state, video.data if video else None, client.www)
        return Published(remote_id=state.live or handle) if isinstance(result, Published) else result
    if state.live is not None:
        return Published(remote_id=state.live)
    if limit_story_listing(listing, publish.armed_at).asked is not Asked.ALL or state.accepted:
        return CannotTell(reason="the Page lists no story of this photo, which may be over or not listed yet")
    return Absent(checkpoint=_mark_unfinished(state))


def _read_stories(client: Client, since: datetime) -> tuple[list[ListedStory], Listing]:
    read = partial(client.list_stories, int(since.timestamp()))
    return read_pages(read, lambda story: story.creation_time, since)


# --- without a handle ------------------------------------------------------------------------------------------------


def list_posts(client: Client, draft: Draft, since: datetime) -> Listing:
    """List the Page's posts, reels, videos or stories since *since*, whichever the draft becomes, compared with it."""
    earliest, kind = since - limits.CLOCK_SKEW, get_post_kind(draft)
    start = int(earliest.timestamp())
    if kind is PostKind.STORY:
        stories, listing = _read_stories(client, earliest)
        shown = [_compare_story(story) for story in stories if story.status.upper() == "PUBLISHED"]
        return fill(limit_story_listing(listing, since), shown, limits.CLOCK_SKEW)
    if kind is PostKind.FEED:
        posts, listing = read_pages(
            partial(client.list_posts, start), lambda post: post.created_time, earliest
        )
        return fill(listing, [_compare_post(post, draft) for post in posts], limits.CLOCK_SKEW)
    read = partial(client.list_videos, kind, start)
    videos, listing = read_pages(read, lambda video: video.created_time, earliest)
    compared = [_compare_video(video, draft, kind, client.www) for video in videos]
    return fill(listing, compared, limits.CLOCK_SKEW)


def _compare_post(post: PostNode, draft: Draft) -> ListedPost:
    """Compare a feed post. One that shows a video is named by the video's id, by which a delivery owns it.

    A text shows nothing, or a link: Facebook makes a card of one in the caption, too.
    """
    parts = post.attachments.list_parts() if post.attachments else []
    types = [part.media_type for part in parts]
    video = next((part.target_id for part in parts if part.media_type == "video" and part.target_id), None)
    return ListedPost(
        remote_id=video or post.id,
        url=post.permalink_url,
        created_at=post.created_time,
        same_caption=split_words(post.message) == split_words(draft.caption),
        same_kind=_compare_types(types, draft),
        same_media=_count_files(types, draft),
    )


def _compare_types(types: Sequence[str | None], draft: Draft) -> bool | None:
    if None in types or not (types or draft.kind == "text"):
        return None
    return set(types) <= {"link"} if draft.kind == "text" else set(types) == {"photo"}


def _count_files(types: Sequence[str | None], draft: Draft) -> bool | None:
    if draft.kind == "text":
        return True if types or not draft.options.get("link") else None
    return len(types) == len(draft.media) if types else None


def _compare_story(story: ListedStory) -> ListedPost:
    """Compare a story, of which nothing but its kind and time is shown."""
    return ListedPost(
        remote_id=story.post_id,
        url=story.url,
        created_at=story.creation_time,
        same_caption=None,
        same_kind=True,
        same_media=None,
    )


def _compare_video(video: ListedVideo, draft: Draft, kind: PostKind, www: str) -> ListedPost:
    is_reel = "/reel/" in (video.permalink_url or "")
    return ListedPost(
        remote_id=video.id,
        url=_build_url(video.permalink_url, www),
        created_at=video.created_time,
        same_caption=split_words(video.description) == split_words(draft.caption),
        same_kind=kind is PostKind.REEL or not is_reel,
        same_media=compare_lengths(video.length, draft.media[0].facts),
    )
