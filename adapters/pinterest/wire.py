"""Pinterest's JSON, as far as we read it. Keys we do not know are ignored."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

RemoteId = Annotated[str, Field(pattern=r"^\d+$")]


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)  # SPEC's own example carries no offset


Moment = Annotated[datetime, AfterValidator(_aware)]


class Wire(BaseModel):
    """Lenient on keys; its validation errors never repeat what was read."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class Fault(Wire):
    """``{"code":29,"message":"…"}``; ``message_detail`` was seen on some 429s."""

    code: int | None = None
    message: str = ""
    message_detail: str = ""


class Registered(Wire):
    """A place for a video's bytes. Address and parameters are a secret: whoever has them may upload."""

    media_id: RemoteId
    upload_url: str = Field(repr=False)
    upload_parameters: dict[str, str] = Field(repr=False)


class MediaStatus(Wire):
    """How far an upload is processed."""

    status: Literal["registered", "processing", "succeeded", "failed"]


class Pin(Wire):
    """A pin, as a board's list or the answer to its creation shows it."""

    id: RemoteId
    created_at: Moment | None = None
    link: str | None = None
    title: str | None = None
    description: str | None = None


class PinPage(Wire):
    """One page of a board; ``bookmark`` leads to the next."""

    items: tuple[Pin, ...] = ()
    bookmark: str | None = None


class Board(Wire):
    """A board of the account."""

    id: RemoteId
    name: str = ""
    privacy: str = "PUBLIC"


class BoardPage(Wire):
    """One page of the account's boards."""

    items: tuple[Board, ...] = ()
    bookmark: str | None = None


class UserAccount(Wire):
    """Whose token it is."""

    username: str
    id: str | None = None
    business_name: str | None = None
