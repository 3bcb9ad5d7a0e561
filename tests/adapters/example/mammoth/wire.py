"""Mammoth's JSON."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, SecretStr, TypeAdapter


class Wire(BaseModel):
    """Keys that we do not know are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Attachment(Wire):
    """A file on its way."""

    id: str
    state: Literal["processing", "ready", "failed"]


class Status(Wire):
    """A post there."""

    id: str
    url: str
    media_ids: tuple[str, ...] = ()


class Me(Wire):
    """Whose token it is."""

    id: str
    username: str


class Token(Wire):
    """A grant; it does not expire by time."""

    access_token: SecretStr
    scope: str = ""


STATUSES = TypeAdapter(tuple[Status, ...])
