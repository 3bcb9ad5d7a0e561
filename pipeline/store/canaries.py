"""Canaries: when each queue was last consumed, by the database's clock, independent of what the broker remembers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from sqlalchemy import Connection

from pipeline.store.database import row, rows


def record_canary(c: Connection, queue: str) -> None:
    """Record that a worker consumed a canary message of this queue now."""
    row(
        c,
        """INSERT INTO canaries (queue, taken_at) VALUES (:queue, now())
           ON CONFLICT (queue) DO UPDATE SET taken_at = greatest(canaries.taken_at, excluded.taken_at)
           RETURNING queue""",
        queue=queue,
    )


def read_silences(c: Connection) -> Mapping[str, timedelta]:
    """Return how long ago a canary was consumed from each queue; queues without one are left out."""
    return {r.queue: r.age for r in rows(c, "SELECT queue, now() - taken_at AS age FROM canaries")}
