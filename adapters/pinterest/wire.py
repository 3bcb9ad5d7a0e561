"""Models of Pinterest's JSON, limited to the fields that are read; unknown keys are ignored."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import AfterValidator, AliasPath, Field

from adapters.transport import Wire

RemoteId = Annotated[str, Field(pattern=r"^\d+$")]


def _assume_utc(instant: datetime) -> datetime:
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)  # SPEC's own example carries no offset


Instant = Annotated[datetime, AfterValidator(_assume_utc)]


class ErrorBody(Wire):
    """An error: ``{"code":29,"message":"…"}``; ``message_detail`` was seen on some 429s."""

    code: int
    message: str
    message_detail: str = ""


class UploadTarget(Wire):
    """Where a registered video's bytes go. Address and parameters are secret: they grant the upload."""

    media_id: RemoteId
    upload_url: str = Field(repr=False)
    upload_parameters: dict[str, str] = Field(repr=False)


class MediaStatus(Wire):
    """The processing status of an upload."""

    status: Literal["registered", "processing", "succeeded", "failed"]


class Pin(Wire):
    """A pin, from a list or from the response to its creation."""

    id: RemoteId
    created_at: Instant | None = None
    link: str | None = None
    title: str | None = None
    description: str | None = None
    board_id: str | None = None
    board_section_id: str | None = None
    media_type: str | None = Field(None, validation_alias=AliasPath("media", "media_type"))
    """``image``, ``multiple_images`` (with ``items``), ``video`` (with ``duration``), and others."""
    items: tuple[Any, ...] | None = Field(None, validation_alias=AliasPath("media", "items"))
    duration: float | None = Field(None, validation_alias=AliasPath("media", "duration"))
    """Milliseconds."""


class Board(Wire):
    """A board of the account."""

    id: RemoteId
    name: str = ""
    privacy: str = "PUBLIC"


Listed = TypeVar("Listed", Pin, Board)


class Page(Wire, Generic[Listed]):
    """One page of the pins of a board or of the account, or of its boards; ``bookmark`` identifies the next page."""

    items: tuple[Listed, ...]
    bookmark: str | None = None


class UserAccount(Wire):
    """The account that owns the token."""

    username: str
    id: str | None = None
    business_name: str | None = None
