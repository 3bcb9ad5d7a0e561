"""Mammoth's JSON as models."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, RootModel


class Wire(BaseModel):
    """A response body; unknown keys are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class ErrorBody(Wire):
    """An error: ``{"error":"a sentence"}``."""

    error: str


class Attachment(Wire):
    """An uploaded file and how far its processing is."""

    id: str
    state: Literal["processing", "ready", "failed"]


class Status(Wire):
    """A published status."""

    id: str
    url: str
    media_ids: tuple[str, ...] = ()


class Me(Wire):
    """The account of a token."""

    id: str
    username: str


class Statuses(RootModel[tuple[Status, ...]]):
    """One page of statuses."""
