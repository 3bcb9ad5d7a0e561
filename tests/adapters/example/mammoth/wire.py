"""Mammoth's JSON as models."""

from __future__ import annotations

from typing import Literal

from pydantic import RootModel

from adapters.transport import Wire


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
