"""What a post's or video's state means, before and after arming. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Container, Sequence
from datetime import datetime, timedelta

from adapters.contract import Absent, CannotTell, Draft, Ended, Pending, Prepared, Published, Ready, Seen
from adapters.errors import AdapterError, Permanent, Rejected, Unavailable
from adapters.facebook import limits
from adapters.facebook.checkpoint import Progress
from adapters.facebook.wire import PostNode, VideoNode, VideoStatus

FAILED = "upload_failed"
_OVER = {"upload_failed": "the upload failed", "expired": "the upload expired"}
_ARRIVED = frozenset({"upload_complete", "ready"})
_WORKING = frozenset({"processing", "in_progress"})


def waiting(at: Progress) -> Pending:
    """Read again after a growing pause."""
    return Pending(checkpoint=at.then(polls=at.polls + 1).checkpoint(), wait=at.backoff)


def renewed(at: Progress, error: AdapterError) -> Prepared:
    """``prepare`` after a passing end: begun anew, a bounded number of times; an end for good is raised."""
    if isinstance(error, Permanent) or at.restarts >= limits.RESTARTS:
        raise error
    fresh = Progress(restarts=at.restarts + 1, again=at.again)
    return Pending(checkpoint=fresh.checkpoint(), wait=limits.RESTART_PAUSE * 2**at.restarts)


# --- feed ------------------------------------------------------------------------------------------------------------


def post_before_arm(at: Progress, post: PostNode | None) -> Ready | Pending | Ended | Published:
    """An unpublished post is ready once it can be read; a fresh one may not be found for seconds."""
    if post is None and at.polls >= limits.GONE_READS:
        return Ended(error=Unavailable("Facebook does not find the unpublished post", code=FAILED))
    if post is None:
        return waiting(at)
    if post.is_published and at.post is not None:
        return Published(remote_id=at.post, url=post.permalink_url)
    return Ready(checkpoint=at.then(polls=0).checkpoint())


def post_after_arm(at: Progress, post: PostNode | None) -> Seen:
    """``is_published`` is the proof both ways; the same post is shown again when it was not."""
    if post is None or post.is_published is None or at.post is None:
        return CannotTell(reason="Facebook does not say whether the post is visible")
    if post.is_published:
        return Published(remote_id=at.post, url=post.permalink_url)
    return Absent(checkpoint=at.then(again=True, polls=0).checkpoint())


def direct_post(
    draft: Draft, at: Progress, posts: Sequence[PostNode], armed_at: datetime, taken: Container[str]
) -> Seen:
    """The only visible post with this text since arming that is not another delivery's."""
    earliest = armed_at.replace(microsecond=0) - limits.CLOCK_SKEW
    found = [
        post
        for post in posts
        if post.id not in taken
        and post.created_time is not None
        and post.created_time >= earliest
        and _words(post.message) == _words(draft.caption)
    ]
    if len(found) == 1:
        return Published(remote_id=found[0].id, url=found[0].permalink_url)
    if found:
        return CannotTell(reason="More than one post with this text appeared since")
    return Absent(checkpoint=at.then(again=True).checkpoint())


def _words(text: str) -> list[str]:
    return unicodedata.normalize("NFC", text).split()


# --- videos and reels ------------------------------------------------------------------------------------------------


def failure(status: VideoStatus) -> AdapterError | None:
    """Why a video will never appear, or None. The error object counts whatever the phase's own status says."""
    for phase in (status.processing_phase, status.publishing_phase):
        if phase is not None and (phase.error is not None or phase.status == "error"):
            reason = phase.error.message[:300] if phase.error else ""
            return Rejected(f"Facebook could not process the video{f' ({reason})' if reason else ''}")
    if status.uploading_phase is not None and status.uploading_phase.error is not None:
        return Unavailable("Facebook: the upload failed", code=FAILED)
    if status.video_status in _OVER:
        return Unavailable(f"Facebook: {_OVER[status.video_status]}", code=FAILED)
    if status.video_status == "error":
        return Rejected("Facebook could not process the video")
    return None


def is_live(video: VideoNode) -> bool:
    """Published for sure: the publishing phase says so, or there is none and the video itself does."""
    phase = video.status.publishing_phase
    if phase is not None:
        return phase.done and phase.publish_status == "published"
    return video.status.video_status == "ready" and video.published is True


def arrived(status: VideoStatus) -> bool:
    """All bytes are there."""
    return status.uploading_phase.done if status.uploading_phase else status.video_status in _ARRIVED


def video_before_arm(at: Progress, video: VideoNode | None, www: str) -> Ready | Pending | Ended | Published:
    """A reel is ready for its finish when the bytes are there; else the offset to go on from is known now."""
    if video is None:
        lost = Ended(error=Unavailable("Facebook does not find the video", code=FAILED))
        return lost if at.polls >= limits.GONE_READS else waiting(at)
    if is_live(video) and at.video_id is not None:
        return Published(remote_id=at.video_id, url=_absolute(video.permalink_url, www))
    error = failure(video.status)
    if error is not None:
        return Ended(error=error)
    if arrived(video.status):
        return Ready(checkpoint=at.then(sent=True, polls=0).checkpoint())
    if at.sent:
        return waiting(at)
    phase = video.status.uploading_phase
    return Pending(checkpoint=at.then(offset=phase.bytes_sent if phase else 0, polls=0).checkpoint())


def video_after_arm(at: Progress, video: VideoNode | None, www: str) -> Seen:
    """Live, still worked on, failed, or not finished at all: then the same video may be finished again."""
    if video is None or at.video_id is None:
        return CannotTell(reason="Facebook does not find the video")
    if is_live(video):
        return Published(remote_id=at.video_id, url=_absolute(video.permalink_url, www))
    error = failure(video.status)
    if error is not None:
        return Ended(error=error)
    return waiting(at) if at.accepted or _under_way(video) else Absent(checkpoint=_unfinished(at))


def _unfinished(at: Progress) -> dict[str, object]:
    return dict(at.then(again=True, polls=0).checkpoint())


def _under_way(video: VideoNode) -> bool:
    status, phase = video.status, video.status.publishing_phase
    working = {status.video_status, *(part.status for part in (status.processing_phase, phase) if part)}
    told = phase is not None and phase.publish_status in {"published", "scheduled"}  # only a finish sets it
    return told or bool(working & _WORKING) or video.published is True


def _absolute(link: str | None, www: str) -> str | None:
    return f"{www}{link}" if link and link.startswith("/") else link


def cut(at: Progress, error: AdapterError) -> Pending:
    """An upload that broke off: its offset is read before it goes on; raised when it broke off too often."""
    if at.cuts >= limits.CUTS:
        raise error
    later: timedelta = limits.CUT_PAUSE * 2**at.cuts
    return Pending(checkpoint=at.then(offset=None, cuts=at.cuts + 1).checkpoint(), wait=later)
