"""How many posts a workspace has of each status: what was folded, and what has been appended since. Counts no rows.

Triggers on ``posts`` append a row per change (one for a whole group of new posts); upkeep folds them. Nobody updates a
counter while storing a post: that one row would be the line in which all posts of a workspace stand. What is folded
is counted by spans of time as well, by a trigger: ``spans.py`` reads these.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.database import row, rows

_FOLDING = 7_002_007
"""The advisory lock of whoever folds; another one has nothing to do meanwhile."""


_ALL = """
SELECT status, CAST(sum(n) AS bigint) AS n FROM (
    SELECT status, n FROM post_counts WHERE workspace_id = :w
    UNION ALL SELECT status, n FROM post_deltas WHERE workspace_id = :w) parts
GROUP BY status
"""
_OVERDUE = """
SELECT 'overdue' AS status, count(*) AS n FROM posts WHERE workspace_id = :w AND status = 'scheduled'
AND deleted_at IS NULL AND due_at BETWEEN (SELECT CAST('-infinity' AS timestamptz)) AND (SELECT now())
"""
"""Scheduled posts whose time has come. Told plainly that they are due by now, the planner takes nearly all for it, as
of all posts most are, and starts parallel workers (eight milliseconds) to find a few: so it is not told the bounds."""
OVERDUE_WITHIN = (
    f"""{_OVERDUE} AND created_at + interval '0' >= :first AND created_at + interval '0' < :end"""
)
"""Those that were made in a span: the sums keep the planner from reading all scheduled ones made in it."""


def counted(c: Connection, workspace: UUID) -> dict[str, int]:
    """Posts by status as a reader sees them: a scheduled one whose time has come is pending."""
    return told(rows(c, f"{_ALL} UNION ALL {_OVERDUE}", w=workspace))


def told(found: Iterable[Any]) -> dict[str, int]:
    """Counts by status, and how many scheduled ones are ``overdue``, as a reader sees them."""
    by_status = {r.status: int(r.n) for r in found}
    overdue = by_status.pop("overdue")
    by_status["scheduled"] = by_status.get("scheduled", 0) - overdue
    by_status["pending"] = by_status.get("pending", 0) + overdue
    return {status: n for status, n in by_status.items() if n}


def fold(c: Connection) -> int:
    """Adds what was appended to the counters; how many rows that were. Zero while somebody else does it."""
    if not rows(c, "SELECT 1 AS mine WHERE pg_try_advisory_xact_lock(:n)", n=_FOLDING):
        return 0
    found = row(
        c,
        """WITH taken AS (DELETE FROM post_deltas RETURNING workspace_id, status, n),
           added AS (
               INSERT INTO post_counts (workspace_id, status, n)
               SELECT workspace_id, status, sum(n) FROM taken GROUP BY workspace_id, status
               ON CONFLICT (workspace_id, status) DO UPDATE SET n = post_counts.n + excluded.n)
           SELECT count(*) AS n FROM taken""",
    )
    return int(found.n) if found else 0
