"""How many posts a workspace has of each status: compacted totals plus the deltas appended since. Counts no rows.

Triggers on ``posts`` append a row to ``post_deltas`` per change (one for a whole batch of new posts); maintenance
compacts them (``compact.py``). No transaction that stores a post updates a counter: its row would be a lock that all
posts of a workspace queue for. ``time_buckets.py`` reads the same totals by time of creation.
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
"""Scheduled posts whose time has come.

The subselects hide the bounds from the planner. With ``due_at <= now()`` it expects nearly all scheduled posts, since
most posts are, and starts parallel workers (8 ms) to find a few.
"""
OVERDUE_BETWEEN = (
    f"""{_OVERDUE} AND created_at + interval '0' >= :first AND created_at + interval '0' < :end"""
)
"""Those created within a span of time; the sums keep the planner from reading every scheduled post created in it."""


def count_all(c: Connection, workspace: UUID) -> dict[str, int]:
    """Return the number of posts by public status: a scheduled post whose time has come is pending."""
    return to_public_totals(rows(c, f"{_ALL} UNION ALL {_OVERDUE}", w=workspace))


def to_public_totals(found: Iterable[Any]) -> dict[str, int]:
    """Turn rows of status and ``n``, one of them ``overdue``, into totals by public status."""
    by_status = {r.status: int(r.n) for r in found}
    overdue = by_status.pop("overdue")
    by_status["scheduled"] = by_status.get("scheduled", 0) - overdue
    by_status["pending"] = by_status.get("pending", 0) + overdue
    return {status: n for status, n in by_status.items() if n}
