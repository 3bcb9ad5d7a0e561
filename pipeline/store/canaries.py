"""Canaries: when each queue was last consumed, by the database's clock, independent of what the broker remembers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta

from sqlalchemy import Connection

from pipeline.store.database import row, rows


def record_consumed(c: Connection, queues: Collection[str]) -> None:
    """Record that workers take messages from these queues now."""
    row(
        c,
        """INSERT INTO canaries (queue, taken_at) SELECT q, now() FROM unnest(CAST(:queues AS text[])) AS q ORDER BY q
           ON CONFLICT (queue) DO UPDATE SET taken_at = greatest(canaries.taken_at, excluded.taken_at)
           RETURNING queue""",
        queues=list(queues),
    )


def record_canary(c: Connection, queue: str) -> None:
    """Record that a worker consumed a canary message of this queue now."""
    record_consumed(c, [queue])


def read_silences(c: Connection) -> Mapping[str, timedelta]:
    """Return how long ago each queue was consumed; queues that never were are left out."""
    return {r.queue: r.age for r in rows(c, "SELECT queue, now() - taken_at AS age FROM canaries")}
