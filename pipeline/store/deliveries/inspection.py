"""Deliveries for operators: state, moves and attempts. Never the checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.hold import Hold
from pipeline.store.database import row, rows
from pipeline.store.deliveries.holds import HOLD_COLUMNS, read_holds


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryFacts:
    """A delivery without its sealed checkpoint."""

    id: UUID
    post_id: UUID
    workspace: str
    account_id: UUID
    platform: str
    username: str
    state: str
    reason: str | None
    generation: int
    fence: int
    due_at: datetime
    held_for: Hold | None
    """Why it waits."""
    next_at: datetime | None
    """When it is touched next, if that is known and to come."""
    lease_until: datetime | None
    armed_at: datetime | None
    published_at: datetime | None
    remote_id: str | None
    url: str | None
    delivered_as: str | None
    spent: int
    crashes: int
    looks: int
    error: Mapping[str, Any] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class MoveFacts:
    """One move: origin, target, mover and reason."""

    at: datetime
    mover: str
    origin: str | None
    target: str
    generation: int
    fence: int
    why: str | None


FACTS_COLUMNS = f"""{HOLD_COLUMNS}, d.post_id, w.name AS workspace, a.username, d.reason, d.generation, d.fence,
       d.lease_until, d.armed_at, d.published_at, d.remote_id, d.url, d.delivered_as, d.spent, d.crashes, d.looks,
       d.error"""
FACTS = f"""
SELECT {FACTS_COLUMNS}
FROM deliveries d JOIN accounts a ON a.id = d.account_id JOIN workspaces w ON w.id = d.workspace_id
"""
_ONE = FACTS + "WHERE d.id = :id"


def find_delivery(c: Connection, delivery: UUID) -> DeliveryFacts | None:
    """Return a delivery of any workspace, or None."""
    found = row(c, _ONE, id=delivery)
    return None if found is None else read_holds(DeliveryFacts, [found])[0]


def list_moves(c: Connection, delivery: UUID) -> list[MoveFacts]:
    """Return the moves of a delivery, oldest first."""
    found = rows(
        c,
        "SELECT at, mover, origin, target, generation, fence, why FROM moves WHERE delivery_id = :id ORDER BY id",
        id=delivery,
    )
    return [MoveFacts(**r._asdict()) for r in found]


def find_workspace_of_post(c: Connection, post: UUID) -> UUID | None:
    """Return the workspace of a post; None when there is no such post."""
    found = row(c, "SELECT workspace_id FROM posts WHERE id = :id", id=post)
    workspace: UUID | None = None if found is None else found.workspace_id
    return workspace
