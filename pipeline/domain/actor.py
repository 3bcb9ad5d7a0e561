"""Actors: who makes a change, as its audit row names them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

ActorKind = Literal["user", "key", "command line", "system"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Actor:
    """Who makes a change, and from where."""

    kind: ActorKind
    name: str
    """A user's login, a key's public id, the account of the machine at the command line."""
    id: UUID | None = None
    """The id of the user or the key."""
    address: str | None = None
    """The client's address as the API sees it; at the command line ``account@machine``."""
    request_id: str | None = None

    @property
    def label(self) -> str:
        """How histories that customers read name the actor."""
        if self.kind == "command line":
            return "the command line"
        return f"key {self.id}" if self.kind == "key" and self.id is not None else self.name


OPERATOR_TOKEN = Actor(kind="key", name="the operator")
"""The operator API's token, which is no key of a workspace."""
