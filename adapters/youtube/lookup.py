"""What YouTube says of an upload that was taken, and which of a channel's uploads is ours."""

from __future__ import annotations

import unicodedata
from collections.abc import Container, Sequence
from datetime import UTC, datetime
from typing import Any

from adapters.contract import CannotTell, Draft, Ended, LookResult, Pending, Published
from adapters.youtube import limits, text
from adapters.youtube import payload as resource
from adapters.youtube.checkpoint import Progress
from adapters.youtube.client import Channels
from adapters.youtube.errors import FAILURES, PROCESSING_FAILURES, REJECTIONS, of_failure
from adapters.youtube.wire import Channel, Video

_OVER = frozenset({"failed", "terminated"})


def judged(draft: Draft, at: Progress, video: Video, armed_at: datetime | None, now: datetime) -> LookResult:
    """Rejected or failed: over, nothing is shown. Processed, or processing for long: out. Else: later."""
    status, details = video.status, video.processing_details
    if status.upload_status == "rejected":
        return Ended(error=of_failure(REJECTIONS, status.rejection_reason))
    if status.upload_status == "failed":
        return Ended(error=of_failure(FAILURES, status.failure_reason))
    if status.upload_status == "uploaded" and details.processing_status in _OVER:
        reason = details.processing_failure_reason or "other"
        return Ended(error=of_failure(PROCESSING_FAILURES, reason))
    working = status.upload_status == "uploaded" and details.processing_status != "succeeded"
    if working and armed_at is not None and now - armed_at < limits.PROCESSING:
        wait = limits.CAPABILITIES.look_every[0]
        return Pending(checkpoint=at.replace(video_id=video.id).to_dict(), wait=wait)
    return published(draft, video.id, **_facts(video))


def published(draft: Draft, video_id: str, **notes: Any) -> Published:
    """It is out, or counts as such."""
    if resource.is_short(draft):
        notes["short"] = True
    return Published(remote_id=video_id, url=resource.link(draft, video_id), notes=notes)


def _facts(video: Video) -> dict[str, Any]:
    said = {"privacy": video.status.privacy_status, "upload_status": video.status.upload_status}
    return {name: value for name, value in said.items() if value is not None}


# --- a session that is gone ------------------------------------------------------------------------------------------


def search(
    channels: Channels,
    channel_id: str,
    draft: Draft,
    at: Progress,
    armed_at: datetime,
    taken: Container[str],
) -> Video | CannotTell:
    """The one upload since the session's start that is this delivery's; three reads or more, no change."""
    playlist = _uploads_of(channels.mine("contentDetails"), channel_id)
    if playlist is None:
        return CannotTell(reason="the grant's channel is not the account's, or lists no uploads")
    since = _earliest(at, armed_at)
    found: list[Video] = []
    page: str | None = None
    for _ in range(limits.LIST_PAGES):
        said = channels.uploads(playlist, page)
        dates = [(item.content_details.video_id, item.snippet.published_at) for item in said.items]
        ids = [name for name, when in dates if name and name not in taken and (when is None or when >= since)]
        found += channels.videos(ids, "fileDetails,snippet,status,processingDetails") if ids else []
        page = said.next_page_token
        if page is None or any(when is not None and when < since for _, when in dates):
            return chosen(draft, at, found, since)
    return CannotTell(reason=f"the channel has more than {limits.LIST_PAGES} pages of uploads since")


def chosen(draft: Draft, at: Progress, uploads: Sequence[Video], since: datetime) -> Video | CannotTell:
    """By the file name we gave it; where YouTube does not show that, by size and title. One, or none."""
    recent = [
        video
        for video in uploads
        if (video.snippet.published_at is None or video.snippet.published_at >= since)
        and video.file_details.file_size in {None, _size(draft, at)}
    ]
    marker = _stem(resource.file_name(draft))
    named = [video for video in recent if _stem(video.file_details.file_name or "") == marker]
    ours = named or [video for video in recent if _alike(video, draft)]
    if len(ours) == 1:
        return ours[0]
    return CannotTell(
        reason=f"the upload session is gone, and {len(ours)} of the channel's uploads could be this one"
    )


def _alike(video: Video, draft: Draft) -> bool:
    """Same size, same title, and not another delivery's by its name."""
    return (
        video.file_details.file_size is not None
        and not (video.file_details.file_name or "").startswith(resource.MARKER)
        and _words(video.snippet.title or "") == _words(text.title(draft.caption))
    )


def _size(draft: Draft, at: Progress) -> int | None:
    facts = draft.media[0].facts
    return at.size or (facts.bytes if facts else None)


def _uploads_of(channels: Sequence[Channel], channel_id: str) -> str | None:
    found = [channel for channel in channels if channel.id == channel_id]
    return found[0].content_details.related_playlists.uploads if found else None


def _earliest(at: Progress, armed_at: datetime) -> datetime:
    began = datetime.fromtimestamp(at.started_at, UTC) if at.started_at else armed_at
    return min(began, armed_at).replace(microsecond=0) - limits.CLOCK_SKEW


def _stem(name: str) -> str:
    return name.partition(".")[0].casefold()


def _words(title: str) -> list[str]:
    return unicodedata.normalize("NFC", title).split()
