"""When each queue was last consumed, by the database's clock: known even when the broker has forgotten everything."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from sqlalchemy import Connection

from pipeline.store.database import row, rows


def taken(c: Connection, queue: str) -> None:
    """A worker took a canary out of this queue just now."""
    row(
        c,
        """INSERT INTO canaries (queue, taken_at) VALUES (:queue, now())
           ON CONFLICT (queue) DO UPDATE SET taken_at = greatest(canaries.taken_at, excluded.taken_at)
           RETURNING queue""",
        queue=queue,
    )


def silences(c: Connection) -> Mapping[str, timedelta]:
    """How long ago a canary was taken out of each queue. One that never was consumed is not there."""
    return {r.queue: r.age for r in rows(c, "SELECT queue, now() - taken_at AS age FROM canaries")}
