"""Models of the JSON that TikTok sends. Unknown keys are ignored, optional ones may be null: vendors add fields.

Sources: developers.tiktok.com/doc/content-posting-api-* and oauth-user-access-token-management for creator
accounts; business-api.tiktok.com/portal/docs for business accounts; developers.tiktok.com/doc/embed-videos for oEmbed.
All read 2026-11-24.
"""

from __future__ import annotations

from typing import Annotated, Any, Generic, TypeVar

from pydantic import AliasChoices, AliasPath, BeforeValidator, Field

from adapters.transport import Wire


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _list(value: Any) -> Any:
    return () if value is None else value


def _empty(value: Any) -> Any:
    return "" if value is None else value


def _no(value: Any) -> Any:
    return False if value is None else value


Id = Annotated[str, BeforeValidator(_text)]
"""An id as text. TikTok sends some as bare integers above 2**53."""
Text = Annotated[str, BeforeValidator(_empty)]
Flag = Annotated[bool, BeforeValidator(_no)]


# --- creator: Content Posting API v2 ---------------------------------------------------------------------------------


class ErrorPart(Wire):
    """The ``error`` of every v2 response; a success if its code is ``ok``, whatever the HTTP status."""

    code: str
    message: str | None = None


class Envelope(Wire):
    """Every v2 response, except of uploads and OAuth."""

    error: ErrorPart
    data: Any = None


class PostingSettings(Wire):
    """An account's current settings: ``creator_info/query`` and ``business/video/settings`` have the same shape."""

    privacy_level_options: Annotated[tuple[str, ...], BeforeValidator(_list)] = ()
    comment_disabled: Flag = False
    duet_disabled: Flag = False
    stitch_disabled: Flag = False
    max_video_post_duration_sec: int | None = None
    creator_username: str | None = None
    creator_nickname: str | None = None


class UploadStarted(Wire):
    """``video/init`` with FILE_UPLOAD. The URL contains a token: a secret."""

    publish_id: str = Field(min_length=1)
    upload_url: str = Field(min_length=1)


class PublishStarted(Wire):
    """``content/init``: the publish has begun."""

    publish_id: str = Field(min_length=1)


class PublishStatus(Wire):
    """``status/fetch``, and ``publish/status`` of business accounts.

    TikTok misspells the key of a creator's ids; the right spelling is accepted too.
    """

    status: str
    fail_reason: str | None = Field(None, validation_alias=AliasChoices("fail_reason", "reason"))
    post_ids: Annotated[tuple[Id, ...], BeforeValidator(_list)] = Field(
        default=(),
        validation_alias=AliasChoices(
            "publicaly_available_post_id", "publicly_available_post_id", "post_ids"
        ),
    )
    uploaded_bytes: int | None = None


class ListedItem(Wire):
    """One item of a list of an account's posts: public posts only; ``create_time`` in seconds."""

    id: Id = Field(validation_alias=AliasChoices("id", "item_id"))
    create_time: int
    share_url: str | None = None


class ListedVideo(ListedItem):
    """One item of ``video/list``."""

    title: str | None = None
    video_description: str | None = None
    duration: float | None = None


Listed = TypeVar("Listed", bound=ListedItem)


class VideoPage(Wire, Generic[Listed]):
    """A page of ``video/list``, newest first, or of ``business/video/list``: it may be short even if more follow."""

    videos: Annotated[tuple[Listed, ...], BeforeValidator(_list)] = Field(
        default=(), validation_alias=AliasChoices("videos", "list")
    )
    cursor: int | None = None
    has_more: Flag = False


class UserInfo(Wire):
    """``user/info``: the owner of a creator token."""

    open_id: str = Field(min_length=1, validation_alias=AliasPath("user", "open_id"))
    display_name: str | None = Field(None, validation_alias=AliasPath("user", "display_name"))


class OAuthError(Wire):
    """The flat error of the v2 OAuth endpoints."""

    error: str
    error_description: str = Field("", repr=False)


# --- business: API for Business v1.3 ---------------------------------------------------------------------------------


class BusinessEnvelope(Wire):
    """Every Business response; nearly always HTTP 200, a success if ``code`` is 0."""

    code: int
    message: str | None = None
    data: Any = None


class Shared(Wire):
    """``video/publish`` and ``photo/publish``. Code 0 without an id is not a success: the outcome is unknown."""

    share_id: str = Field(min_length=1)


class BusinessItem(ListedItem):
    """One item of ``business/video/list``; numbers may be text."""

    caption: str | None = None
    media_type: str | None = None


class TokenInfo(Wire):
    """``tt_user/token_info/get``: whose token it is; ``creator_id`` is the ``business_id`` of every other call."""

    creator_id: str = Field(min_length=1, validation_alias=AliasChoices("creator_id", "open_id"))
    scope: str | None = None


class BusinessProfile(Wire):
    """``business/get``: the names of an account."""

    username: str | None = None
    display_name: str | None = None


class ChartTrack(Wire):
    """One track of a Commercial Music Library chart; a post does *not* take its ``commercial_music_id``."""

    title: Text = Field(default="", validation_alias="commercial_music_name")
    artist: Text = ""
    trending: Id | None = Field(None, validation_alias=AliasPath("trending_song_clip", "song_clip_id"))
    """The id of a clip that a post can use, like *full*; ``{}`` and null both mean that there is none."""
    full: Id | None = Field(None, validation_alias=AliasPath("full_duration_song_clip", "song_clip_id"))


class ChartPage(Wire):
    """``discovery/cml/trending_list``; the list may be null."""

    list: Annotated[tuple[ChartTrack, ...], BeforeValidator(_list)] = ()


# --- oEmbed ----------------------------------------------------------------------------------------------------------


class Embed(Wire):
    """The part of an oEmbed response that names the sound."""

    html: str
    embed_product_id: Id | None = None
