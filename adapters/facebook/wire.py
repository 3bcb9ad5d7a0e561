"""Facebook's JSON, as far as we read it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import AliasChoices, Field

from adapters.graph_api import Wire


class Created(Wire):
    """``{"id":"…"}`` of a photo, a post or a video."""

    id: str


class Success(Wire):
    """``{"success":true}``; anything else is no yes."""

    success: Literal[True]


class ReelStarted(Wire):
    """``{"video_id":"123","upload_url":"https://rupload.facebook.com/video-upload/v25.0/123"}``."""

    video_id: str
    upload_url: str


class Offsets(Wire):
    """Which bytes are wanted next, end excluded; equal when all are there. Facebook sends them as strings."""

    start_offset: int
    end_offset: int


class VideoStarted(Wire):
    """The start of a chunked upload; ``skip_upload``: the bytes are known already, go on to the finish."""

    video_id: str
    upload_session_id: str
    start_offset: int = 0
    end_offset: int = 0
    skip_upload: bool = False


class PhaseError(Wire):
    """Why a phase failed."""

    message: str = ""


class Phase(Wire):
    """One phase of a video. The guide prints ``bytes_transfered``, the spec ``bytes_transferred``; both are taken."""

    status: str = ""
    bytes_sent: int = Field(0, validation_alias=AliasChoices("bytes_transfered", "bytes_transferred"))
    publish_status: str | None = None
    error: PhaseError | None = None

    @property
    def done(self) -> bool:
        """``complete`` in the guide's samples, ``completed`` in its table."""
        return self.status in {"complete", "completed"}


class VideoStatus(Wire):
    """``video_status``: uploading, upload_complete, upload_failed, processing, ready, error, expired."""

    video_status: str = ""
    uploading_phase: Phase | None = None
    processing_phase: Phase | None = None
    publishing_phase: Phase | None = None


class VideoNode(Wire):
    """A video or reel; ``permalink_url`` may be a path without host."""

    status: VideoStatus = VideoStatus()
    published: bool | None = None
    permalink_url: str | None = None


class PostNode(Wire):
    """A Page post."""

    id: str = ""
    message: str = ""
    created_time: datetime | None = None
    is_published: bool | None = None
    permalink_url: str | None = None


class Posts(Wire):
    """Newest first."""

    data: tuple[PostNode, ...] = ()
