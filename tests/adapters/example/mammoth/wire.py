"""Mammoth's JSON."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, RootModel


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


class Statuses(RootModel[tuple[Status, ...]]):
    """A page of them."""
