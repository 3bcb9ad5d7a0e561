"""A post request after its shape was validated, and the values it is answered or refused with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from adapters.contract import Platform
from pipeline.domain.level import find_level


@dataclass(frozen=True, kw_only=True, slots=True)
class PostContent:
    """The content of a post, without its accounts."""

    caption: str
    media: Mapping[str, Any]
    """``{"type": "video", "url": …}`` or ``{"type": "slideshow", "urls": […]}``, with the optional facts, as sent."""
    music_url: str | None = None
    options: Mapping[Platform, Mapping[str, Any]] = field(default_factory=dict)
    """The platforms' own sections of the request, as sent; one that was not sent is missing."""
    ai_generated: bool = False

    @property
    def level(self) -> int:
        """The lowest level that understands all of it."""
        return find_level(self.media, self.options, ai_generated=self.ai_generated)


@dataclass(frozen=True, kw_only=True, slots=True)
class PostRequest(PostContent):
    """A post as a client sends it: shape and types are valid; rules about accounts, clock and media come later."""

    account_ids: Sequence[UUID]
    """In the order sent, duplicates removed."""
    scheduled_at: datetime | None = None
    expires_at: datetime | None = None
    on_late: str = "publish"
    external_id: str | None = None
    fingerprint: bytes
    """The fingerprint of the canonical body; equal requests have the same."""
    request_id: str | None = None
    """The id of the HTTP request, which its response and the log have too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AcceptanceWarning:
    """Something the client should know about an accepted post; it does not block the post."""

    field: str
    message: str
    code: str


@dataclass(frozen=True, kw_only=True, slots=True)
class AcceptedPost:
    """A post that is stored and committed, or found for a repeated request and then as it is now."""

    id: UUID
    status: str
    scheduled_at: datetime
    warnings: Sequence[AcceptanceWarning] = ()
    duplicate: bool = False
    deleted: bool = False
    deliveries: Sequence[UUID] = field(default=(), compare=False)
    """The deliveries of a post that this request has stored, for the log."""


@dataclass
class Refusal(Exception):
    """Why a request is refused, with the contract's status and code; nothing was stored."""

    status: int
    code: str
    message: str
    issues: Sequence[Mapping[str, Any]] = field(default=())

    def __str__(self) -> str:
        return self.message
