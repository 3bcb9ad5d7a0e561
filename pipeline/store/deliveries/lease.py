"""Leases of claims: extend one during a long step, and give claims back when their worker shuts down."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import Connection

from pipeline.store.database import row, rows
from pipeline.store.deliveries.claimed import ClaimedDelivery
from pipeline.store.deliveries.message import Message


def extend_lease(c: Connection, claimed: ClaimedDelivery, lease: timedelta) -> bool:
    """Extend the lease from now; False when the claim was lost (rescued, edited, cancelled) or the lease expired."""
    found = row(
        c,
        """UPDATE deliveries SET lease_until = now() + :lease
           WHERE id = :id AND state = 'publishing' AND generation = :generation AND fence = :fence
             AND lease_until > now() RETURNING id""",
        id=claimed.id,
        generation=claimed.generation,
        fence=claimed.fence,
        lease=lease,
    )
    return found is not None


_HELD = """
WITH mine AS (
    SELECT x.id, x.armed_at FROM deliveries x
    JOIN unnest(CAST(:ids AS uuid[]), CAST(:generations AS int[]), CAST(:fences AS bigint[]))
      AS claimed (id, generation, fence)
      ON x.id = claimed.id AND x.generation = claimed.generation AND x.fence = claimed.fence
    WHERE x.state || '' = ANY(CAST(:states AS text[]))
    ORDER BY x.id FOR UPDATE OF x SKIP LOCKED  -- a locked one is being settled by its worker
)
"""

_GIVE_BACK = f"""{_HELD}, d AS (
    UPDATE deliveries u SET state = 'queued', held_for = 'shutdown', fence = fence + 1,
           lease_until = now() + :lease, updated_at = now()
    FROM mine WHERE u.id = mine.id AND mine.armed_at IS NULL
    RETURNING u.id, u.platform, u.generation, u.fence
), armed AS (  -- an armed one becomes unknown: its lease ends now, and rescue finds it
    UPDATE deliveries u SET lease_until = now() FROM mine WHERE u.id = mine.id AND mine.armed_at IS NOT NULL
), move AS (
    INSERT INTO moves (delivery_id, mover, origin, target, generation, fence, why)
    SELECT id, 'publish', 'publishing', 'queued', generation, fence, 'held: shutdown' FROM d
)
SELECT id AS delivery, platform, generation, fence FROM d
"""


def requeue_claimed(c: Connection, some: Sequence[ClaimedDelivery], lease: timedelta) -> list[Message]:
    """Queue the un-armed deliveries of a worker that shuts down, under a new fence, and return their messages.

    No crash or attempt is counted. The messages are sent after the caller's commit. ``lease``: of a queued one.
    """
    return [Message(**r._mapping) for r in rows(c, _GIVE_BACK, lease=lease, **_to_values(some, "publishing"))]


def requeue_looks(c: Connection, some: Sequence[ClaimedDelivery]) -> None:
    """End the leases of looks whose worker shuts down, so that the next sweep dispatches them."""
    rows(
        c,
        f"{_HELD} UPDATE deliveries u SET lease_until = NULL FROM mine WHERE u.id = mine.id RETURNING u.id",
        **_to_values(some, "preparing", "processing", "unknown"),
    )


def _to_values(some: Sequence[ClaimedDelivery], *states: str) -> dict[str, list[object]]:
    return {
        "ids": [claimed.id for claimed in some],
        "generations": [claimed.generation for claimed in some],
        "fences": [claimed.fence for claimed in some],
        "states": list(states),
    }
