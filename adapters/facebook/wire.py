"""Models of Facebook's JSON, limited to the fields that are read."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import AliasChoices, AliasPath, Field

from adapters.transport import Wire


class Created(Wire):
    """The response to creating a photo, a post or a video: ``{"id":"…"}``."""

    id: str


class Success(Wire):
    """The confirmation ``{"success":true}``; any other response confirms nothing."""

    success: Literal[True]


class StoryShown(Success):
    """The confirmation of a story: ``{"success":true,"post_id":"…"}``."""

    post_id: str | None = None


class ListedStory(Wire):
    """A story of a Page; ``url`` is its only link, as one made of ``post_id`` is dead (postiz-app#1920, 2026-08-18).

    ``status`` is PUBLISHED or ARCHIVED, in either case; ``media_id`` is the photo or video it was made of.
    """

    post_id: str
    status: str
    creation_time: datetime | None = None
    media_id: str | None = None
    url: str | None = None


class ReelStarted(Wire):
    """A started reel: ``{"video_id":"123","upload_url":"https://rupload.facebook.com/video-upload/v25.0/123"}``."""

    video_id: str
    upload_url: str


class Offsets(Wire):
    """The range of bytes to send next, end excluded; equal when all have arrived. Facebook sends strings."""

    start_offset: int
    end_offset: int


class VideoStarted(Wire):
    """A started chunked upload; with ``skip_upload`` Facebook knows the bytes already and waits for the finish."""

    video_id: str
    upload_session_id: str
    start_offset: int = 0
    end_offset: int = 0
    skip_upload: bool = False


class PhaseError(Wire):
    """The reason why a phase failed."""

    message: str = ""


class VideoPhase(Wire):
    """One phase of a video. The guide prints ``bytes_transfered``, the spec ``bytes_transferred``; both are read."""

    status: str = ""
    bytes_sent: int = Field(0, validation_alias=AliasChoices("bytes_transfered", "bytes_transferred"))
    publish_status: str | None = None
    error: PhaseError | None = None

    @property
    def is_done(self) -> bool:
        """True if the phase is over: ``complete`` in the guide's samples, ``completed`` in its table."""
        return self.status in {"complete", "completed"}


class VideoStatus(Wire):
    """The status of a video: uploading, upload_complete, upload_failed, processing, ready, error, expired."""

    video_status: str = ""
    uploading_phase: VideoPhase | None = None
    processing_phase: VideoPhase | None = None
    publishing_phase: VideoPhase | None = None


class VideoNode(Wire):
    """A video or reel and the post that shows it; ``permalink_url`` may be a path without host."""

    status: VideoStatus
    published: bool | None = None
    post_id: str | None = None
    permalink_url: str | None = None


class ListedVideo(Wire):
    """A video or reel in a Page's list; ``length`` is in seconds."""

    id: str
    description: str = ""
    created_time: datetime | None = None
    permalink_url: str | None = None
    length: float | None = None


class Attachment(Wire):
    """A photo, video, link or album of a post; an album's parts are its ``subattachments``."""

    media_type: str | None = None
    target_id: str | None = Field(None, validation_alias=AliasPath("target", "id"))
    """The object behind it: a photo, a video."""
    subattachments: Attachments | None = None


class Attachments(Wire):
    """The attachments of a post."""

    data: tuple[Attachment, ...] = ()

    def list_parts(self) -> list[Attachment]:
        """Return the attachments, and for an album its parts."""
        return [
            part for one in self.data for part in (one.subattachments.data if one.subattachments else (one,))
        ]


class PostNode(Wire):
    """A Page post."""

    id: str = ""
    message: str = ""
    created_time: datetime | None = None
    is_published: bool | None = None
    permalink_url: str | None = None
    attachments: Attachments | None = None
