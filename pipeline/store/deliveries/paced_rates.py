"""Rates that hold across processes and restarts, and when Redis has forgotten everything: one row each, in SQL."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import Connection

from pipeline.store.database import row

CLOCK = 0.001
"""Of one that may go out: the clock goes on between two looks within one statement."""
Kind = Literal["replay", "backlog"]


def next_turn(c: Connection, kind: Kind, platform: str, gap: timedelta) -> datetime:
    """Takes the next turn: now, or ``gap`` after the turn before it. Turns of one platform never share a moment."""
    found = row(
        c,
        """INSERT INTO paces AS x (kind, platform, free_at) VALUES (:kind, :platform, now() + :gap)
           ON CONFLICT (kind, platform) DO UPDATE SET free_at = greatest(x.free_at, now()) + CAST(:gap AS interval)
           RETURNING free_at - CAST(:gap AS interval) AS turn""",
        kind=kind,
        platform=platform,
        gap=gap,
    )
    if found is None:
        raise LookupError("A turn was neither made nor moved.")
    turn: datetime = found.turn
    return turn


def room(c: Connection, kind: Kind, platform: str, per_second: float) -> int:
    """How many may go out now: what a second allows (or the time that one takes), less what went out in it.

    Holds the row until the commit; who asks meanwhile gets nothing, and need not wait for what is being sent already.
    """
    row(
        c,
        # not to be asked of a row that is there: ON CONFLICT waits for who is just changing it
        """INSERT INTO paces (kind, platform, free_at) SELECT :kind, :platform, '-infinity'
           WHERE NOT EXISTS (SELECT FROM paces WHERE kind = :kind AND platform = :platform)
           ON CONFLICT DO NOTHING RETURNING kind""",
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
        most=_most(per_second),
    )
    return 0 if found is None else max(0, int(float(found.seconds) * per_second + CLOCK))


def went(c: Connection, kind: Kind, platform: str, number: int, per_second: float) -> None:
    """Counts what went out. The caller asked for ``room`` in this transaction."""
    row(
        c,
        """UPDATE paces SET free_at = greatest(free_at, clock_timestamp() - CAST(:most AS interval)) + :taken
           WHERE kind = :kind AND platform = :platform RETURNING kind""",
        kind=kind,
        platform=platform,
        taken=timedelta(seconds=number / per_second),
        most=_most(per_second),
    )


def _most(per_second: float) -> timedelta:
    """The time whose share may go out together."""
    return timedelta(seconds=max(1.0, 1 / per_second))
