"""The request and the answer of an edit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from adapters.contract import Platform
from pipeline.stages.post_request import AcceptanceWarning


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """The changes a client asks for: the values of the fields named in ``given``, with valid shape and types."""

    given: frozenset[str]
    caption: str = ""
    media: Mapping[str, Any] | None = None
    account_ids: Sequence[UUID] = ()
    scheduled_at: datetime | None = None
    music_url: str | None = None
    options: Mapping[Platform, Mapping[str, Any] | None] = field(default_factory=dict)
    """The platforms' sections that were sent; None removes a section."""
    ai_generated: bool = False
    external_id: str | None = None
    """The post's own, if it was sent along: another one is refused."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EditResult:
    """A committed edit."""

    id: UUID
    status: str
    scheduled_at: datetime
    version: str
    warnings: Sequence[AcceptanceWarning] = ()
