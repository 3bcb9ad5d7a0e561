"""Models of the JSON that YouTube and Google send. Unknown keys are ignored: vendors add fields.

Sources: the discovery document youtube.v3, revision 20261104 (the tests check the names against it);
developers.google.com/identity/protocols/oauth2/web-server for the tokens. Read 2026-11-24.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from adapters import transport


def _list(value: Any) -> Any:
    return () if value is None else value


class Wire(transport.Wire):
    """Base of the models: Google's keys are in camel case."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


# --- errors ----------------------------------------------------------------------------------------------------------


class Reason(Wire):
    """One entry of ``error.errors``, without ``message``: Google quotes requests in it."""

    reason: str | None = None


class ErrorBody(Wire):
    """``{"code":403,"errors":[{"domain":"youtube.quota","reason":"quotaExceeded"}],"status":"…"}``."""

    code: int | None = None
    status: str | None = None
    errors: Annotated[tuple[Reason, ...], BeforeValidator(_list)] = ()


class Envelope(Wire):
    """``{"error":{…}}``: a refusal of the Data API or the upload server."""

    error: ErrorBody


class OAuthError(Wire):
    """``{"error":"invalid_grant","error_description":"…"}``."""

    error: str


# --- videos ----------------------------------------------------------------------------------------------------------


class VideoStatus(Wire):
    """Part ``status``."""

    upload_status: str | None = None
    failure_reason: str | None = None
    rejection_reason: str | None = None
    privacy_status: str | None = None


class VideoProcessingDetails(Wire):
    """Part ``processingDetails``; owners only."""

    processing_status: str | None = None
    processing_failure_reason: str | None = None


class VideoFileDetails(Wire):
    """Part ``fileDetails``; owners only. ``file_size`` comes as a decimal string."""

    file_name: str | None = None
    file_size: int | None = None


class VideoSnippet(Wire):
    """Part ``snippet``. ``published_at`` is when the video was uploaded."""

    title: str | None = None
    description: str | None = None
    published_at: datetime | None = None


class Video(Wire):
    """A video resource: the response to a complete upload, and an item of ``videos.list``."""

    id: str = Field(min_length=1)
    snippet: VideoSnippet = VideoSnippet()
    status: VideoStatus = VideoStatus()
    processing_details: VideoProcessingDetails = VideoProcessingDetails()
    file_details: VideoFileDetails = VideoFileDetails()


class VideoListResponse(Wire):
    """``videos.list``; a deleted video is missing."""

    items: Annotated[tuple[Video, ...], BeforeValidator(_list)] = ()


# --- channels and playlists ------------------------------------------------------------------------------------------


class RelatedPlaylists(Wire):
    """``uploads``: the playlist of all uploads of the channel."""

    uploads: str | None = None


class ChannelContentDetails(Wire):
    """Part ``contentDetails``."""

    related_playlists: RelatedPlaylists = RelatedPlaylists()


class ChannelSnippet(Wire):
    """Part ``snippet``; ``custom_url`` is the handle."""

    title: str | None = None
    custom_url: str | None = None


class ChannelStatus(Wire):
    """Part ``status``; ``long_uploads_status`` is allowed, eligible or disallowed."""

    long_uploads_status: str | None = None


class Channel(Wire):
    """A channel resource, with the parts that were requested."""

    id: str = Field(min_length=1)
    snippet: ChannelSnippet = ChannelSnippet()
    content_details: ChannelContentDetails = ChannelContentDetails()
    status: ChannelStatus = ChannelStatus()


class ChannelListResponse(Wire):
    """``channels.list``; ``items`` is missing for a Google account without a channel."""

    items: Annotated[tuple[Channel, ...], BeforeValidator(_list)] = ()


class PlaylistItemSnippet(Wire):
    """Part ``snippet``; ``published_at`` is when the item joined the playlist."""

    published_at: datetime | None = None


class PlaylistItemContentDetails(Wire):
    """Part ``contentDetails``."""

    video_id: str | None = None


class PlaylistItem(Wire):
    """One upload in the uploads playlist."""

    snippet: PlaylistItemSnippet = PlaylistItemSnippet()
    content_details: PlaylistItemContentDetails = PlaylistItemContentDetails()


class ThumbnailSetResponse(Wire):
    """``{"kind":"youtube#thumbnailSetResponse","items":[…]}``."""

    kind: Literal["youtube#thumbnailSetResponse"]


class PlaylistItemListResponse(Wire):
    """A page of ``playlistItems.list``; the uploads playlist lists the newest first."""

    items: Annotated[tuple[PlaylistItem, ...], BeforeValidator(_list)] = ()
    next_page_token: str | None = None


# --- comments --------------------------------------------------------------------------------------------------------


class CommentSnippetAuthorChannelId(Wire):
    """The channel that wrote a comment."""

    value: str = ""


class CommentSnippet(Wire):
    """Part ``snippet`` of a comment. ``text_original``, as it was sent, is shown to its author only."""

    author_channel_id: CommentSnippetAuthorChannelId = CommentSnippetAuthorChannelId()
    text_original: str | None = None
    text_display: str = ""
    published_at: datetime | None = None


class Comment(Wire):
    """A comment resource."""

    snippet: CommentSnippet = CommentSnippet()


class CommentThreadSnippet(Wire):
    """Part ``snippet`` of a thread."""

    top_level_comment: Comment = Comment()


class CommentThread(Wire):
    """A comment with its replies: the response to a comment, and an item of ``commentThreads.list``."""

    id: str = Field(min_length=1)
    snippet: CommentThreadSnippet = CommentThreadSnippet()


class CommentThreadListResponse(Wire):
    """A page of ``commentThreads.list``."""

    items: Annotated[tuple[CommentThread, ...], BeforeValidator(_list)] = ()
    next_page_token: str | None = None
