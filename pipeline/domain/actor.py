"""Actors: who made a change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from uuid import UUID


@dataclass(frozen=True, kw_only=True, slots=True)
class Actor:
    """A user of the dashboard, an API key, the command line, or the system itself."""

    kind: Literal["user", "key", "command line", "system"]
    name: str
    id: UUID | None = None
    address: str | None = None
    """The network address that the change was asked for from."""
