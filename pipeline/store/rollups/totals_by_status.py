"""How many posts a workspace has of each status: what was folded, and what has been appended since. Counts no rows.

Triggers on ``posts`` append a row per change (one for a whole group of new posts); upkeep folds them (``folding.py``).
Nobody updates a counter while storing a post: that one row would be the line in which all posts of a workspace stand.
What is folded is counted by spans of time as well, by a trigger: ``spans.py`` reads these.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.database import rows

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
