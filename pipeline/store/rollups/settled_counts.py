"""How many deliveries settled, and how late they were sent, by hour and by day (UTC), workspace and platform.

The export of moves adds to it in its own transaction, so every move counts once. Nothing else is read for it.

Compaction: add the changes that triggers append to the totals of posts and their time buckets.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.arrays import Records
from pipeline.store.database import build, execute, has_row, read_all, read_number, require_row

_LOCK = 7_002_007
"""The advisory lock of the compacting transaction; another one returns at once."""
_COMPACT = """
WITH taken AS (DELETE FROM post_deltas RETURNING workspace_id, status, n),
added AS (
    INSERT INTO post_counts (workspace_id, status, n)
    SELECT workspace_id, status, sum(n) FROM taken GROUP BY workspace_id, status
    ON CONFLICT (workspace_id, status) DO UPDATE SET n = post_counts.n + excluded.n)
SELECT count(*) AS n FROM taken
"""
"""A trigger adds the rows deleted here to the time buckets (``schema.sql``)."""


def compact(c: Connection) -> int:
    """Compact all deltas and return how many there were; zero while another transaction compacts."""
    if not has_row(c, "SELECT 1 AS mine WHERE pg_try_advisory_xact_lock(:n)", n=_LOCK):
        return 0
    return read_number(c, _COMPACT)


ALL_WORKSPACES = UUID(int=0)
"""Stands for all workspaces together: an operator's page reads as few rows as a workspace's."""
HOUR, DAY = 60, 1440
"""Lengths of the spans, in minutes."""
KEPT = {HOUR: timedelta(days=3), DAY: timedelta(days=400)}
LATENESS = "lateness"


class Span(NamedTuple):
    """The key of one count. ``label``: of failed ones the class of the error, of lateness the bucket's upper bound."""

    workspace_id: UUID
    minutes: int
    starts_at: datetime
    platform: str
    kind: str
    label: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SettledCount:
    """How many there were in the span that begins at ``starts_at``, of one platform, kind and label."""

    starts_at: datetime
    platform: str
    kind: str
    label: str
    n: int


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkspaceCount:
    """How many were published or failed in a workspace, and how many of them failed."""

    workspace_id: UUID
    settled: int
    failed: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Counting:
    """How far moves are counted: moves committed by ``until``, of deliveries that settled from ``since`` on."""

    since: datetime | None
    until: datetime


def find_start(at: datetime, minutes: int) -> datetime:
    """Return the start of the span that *at* is in."""
    seconds = minutes * 60
    return datetime.fromtimestamp(at.timestamp() // seconds * seconds, UTC)


_COUNTS = Records(
    "workspace_id uuid, minutes integer, starts_at timestamptz, platform text, kind text, label text, n bigint"
)


def add_settled(c: Connection, counts: Mapping[Span, int]) -> None:
    """Add to the rows, in the order of their keys, and delete old ones of the same workspaces."""
    if not counts:
        return
    execute(
        c,
        f"""INSERT INTO settled_counts AS t ({_COUNTS.columns}) SELECT * FROM {_COUNTS}
            ON CONFLICT (workspace_id, minutes, starts_at, platform, kind, label) DO UPDATE
            SET n = t.n + excluded.n""",
        **_COUNTS.bind((*span, counts[span]) for span in sorted(counts)),
    )
    ids = sorted({span.workspace_id for span in counts})
    sql = """DELETE FROM settled_counts WHERE workspace_id = ANY(CAST(:ids AS uuid[])) AND minutes = :minutes
               AND starts_at < now() - CAST(:kept AS interval)"""
    for length, kept in KEPT.items():
        execute(c, sql, ids=ids, minutes=length, kept=kept)


_SETTLED = """
SELECT starts_at, platform, kind, label, CAST(sum(n) AS bigint) AS n FROM settled_counts
WHERE workspace_id = ANY(CAST(:ids AS uuid[])) AND minutes = :minutes AND starts_at >= :since AND starts_at < :until
GROUP BY starts_at, platform, kind, label ORDER BY starts_at, platform, kind, label
"""
_BY_WORKSPACE = """
SELECT workspace_id, CAST(sum(n) AS bigint) AS settled,
       CAST(coalesce(sum(n) FILTER (WHERE kind = 'failed'), 0) AS bigint) AS failed
FROM settled_counts
WHERE workspace_id = ANY(CAST(:ids AS uuid[])) AND minutes = :minutes AND starts_at >= :since AND starts_at < :until
  AND kind IN ('published', 'failed')
GROUP BY workspace_id ORDER BY failed DESC, settled DESC, workspace_id LIMIT :n
"""


def list_settled(
    c: Connection, workspaces: Collection[UUID] | None, minutes: int, since: datetime, until: datetime
) -> list[SettledCount]:
    """Return the counts of some workspaces, or of all (None), in spans that begin from *since* to before *until*."""
    ids = [ALL_WORKSPACES] if workspaces is None else list(workspaces)
    return read_all(c, SettledCount, _SETTLED, ids=ids, minutes=minutes, since=since, until=until)


def rank_failed(
    c: Connection, workspaces: Collection[UUID], minutes: int, since: datetime, until: datetime, *, limit: int
) -> list[WorkspaceCount]:
    """Return the workspaces in which most failed in these spans, those with most failures first."""
    values = {"ids": list(workspaces), "minutes": minutes, "since": since, "until": until}
    return read_all(c, WorkspaceCount, _BY_WORKSPACE, **values, n=limit)


def read_counting(c: Connection) -> Counting:
    """Return how far moves are counted."""
    found = require_row(
        c,
        "The row of move_progress is missing.",
        """SELECT exported_at AS until, (SELECT min(starts_at) FROM settled_counts
                                         WHERE workspace_id = :all AND minutes = :day) AS since
           FROM move_progress WHERE reader = 'export'""",
        all=ALL_WORKSPACES,
        day=DAY,
    )
    return build(Counting, found)
