"""Ticks in the database: when each periodic task is sent next, and which of them are leased.

The lease is a column, not a lock or a session: a process that is frozen, or cut off from the database, is passed over
when its lease has expired. Each function is one statement, which commits by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection

from pipeline.store.database import execute, rows

_CLAIM = """
WITH missing AS (
    INSERT INTO ticks (name)
    SELECT n FROM unnest(CAST(:names AS text[])) AS n WHERE NOT EXISTS (SELECT FROM ticks WHERE name = n) ORDER BY n
    ON CONFLICT DO NOTHING
), due AS (
    SELECT name FROM ticks
    WHERE name = ANY(CAST(:names AS text[])) AND next_at <= now() AND leased_until <= now()
    ORDER BY name FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE ticks t SET leased_until = now() + :lease FROM due WHERE t.name = due.name RETURNING t.name
)
SELECT t.name, c.name IS NOT NULL AS is_mine, greatest(t.next_at, t.leased_until) - now() AS wait
FROM ticks t LEFT JOIN claimed c ON c.name = t.name WHERE t.name = ANY(CAST(:names AS text[]))
"""

_FINISH = """
WITH sent AS (
    SELECT t.name, s.every FROM ticks t
    JOIN unnest(CAST(:names AS text[]), CAST(:everies AS interval[])) AS s (name, every) ON s.name = t.name
    ORDER BY t.name FOR UPDATE OF t
)
UPDATE ticks t SET next_at = date_bin(s.every, now(), TIMESTAMPTZ '2000-01-01 00:00+00') + s.every, leased_until = now()
FROM sent s WHERE t.name = s.name
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """The ticks to send now, and how long until another one may be claimed; None: no row is known yet."""

    names: Sequence[str]
    wait: timedelta | None


def claim_due(c: Connection, names: Sequence[str], lease: timedelta) -> Claim:
    """Lease the named ticks that are due and not leased. Insert missing rows, which are due at once."""
    found = rows(c, _CLAIM, names=sorted(names), lease=lease)
    return Claim(
        names=sorted(r.name for r in found if r.is_mine),
        wait=min((r.wait for r in found if not r.is_mine), default=None),
    )


def finish(c: Connection, intervals: Mapping[str, timedelta]) -> None:
    """Record that these ticks were sent: each is due again at the next multiple of its interval.

    Multiples of the interval, not "an interval from now", keep the rate the same whichever and however many processes
    send. A process that was frozen before this and passed over moves nothing beyond that multiple.
    """
    names = sorted(intervals)
    execute(c, _FINISH, names=names, everies=[intervals[name] for name in names])
