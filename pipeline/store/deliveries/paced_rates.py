"""Rate limits in SQL, one row each: they hold across processes and restarts, and without Redis."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import Connection

from pipeline.store.database import execute, require_value, row

CLOCK = 0.001
"""Tolerance, in deliveries: the clock advances between two reads of it within one statement."""
Kind = Literal["replay", "backlog"]


def reserve_turn(c: Connection, kind: Kind, platform: str, gap: timedelta) -> datetime:
    """Reserve the next turn: now, or ``gap`` after the turn before it. No two turns of a platform are at one time."""
    return require_value(
        c,
        datetime,
        "No turn was reserved.",
        """INSERT INTO paces AS x (kind, platform, free_at) VALUES (:kind, :platform, now() + :gap)
           ON CONFLICT (kind, platform) DO UPDATE SET free_at = greatest(x.free_at, now()) + CAST(:gap AS interval)
           RETURNING free_at - CAST(:gap AS interval) AS turn""",
        kind=kind,
        platform=platform,
        gap=gap,
    )


def count_allowed(c: Connection, kind: Kind, platform: str, per_second: float) -> int:
    """Return how many may be sent now: the allowance of a second (one at least), less the ones sent in that time.

    The row is locked until the commit; a concurrent caller gets zero at once instead of waiting.
    """
    execute(
        c,
        # only when there is no row: ON CONFLICT waits for a transaction that is changing it
        """INSERT INTO paces (kind, platform, free_at) SELECT :kind, :platform, '-infinity'
           WHERE NOT EXISTS (SELECT FROM paces WHERE kind = :kind AND platform = :platform)
           ON CONFLICT DO NOTHING""",
        kind=kind,
        platform=platform,
    )
    found = row(
        c,
        """SELECT extract(epoch FROM clock_timestamp() - greatest(free_at, clock_timestamp() - CAST(:most AS interval)))
                  AS seconds
           FROM paces WHERE kind = :kind AND platform = :platform FOR UPDATE SKIP LOCKED""",
        kind=kind,
        platform=platform,
        most=_compute_span(per_second),
    )
    return 0 if found is None else max(0, int(float(found.seconds) * per_second + CLOCK))


def record_sent(c: Connection, kind: Kind, platform: str, number: int, per_second: float) -> None:
    """Record how many were sent, after ``count_allowed`` in the same transaction."""
    execute(
        c,
        """UPDATE paces SET free_at = greatest(free_at, clock_timestamp() - CAST(:most AS interval)) + :taken
           WHERE kind = :kind AND platform = :platform""",
        kind=kind,
        platform=platform,
        taken=timedelta(seconds=number / per_second),
        most=_compute_span(per_second),
    )


def _compute_span(per_second: float) -> timedelta:
    """Return the span whose allowance may be sent at once."""
    return timedelta(seconds=max(1.0, 1 / per_second))
