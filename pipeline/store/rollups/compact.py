"""Compaction: add the changes that triggers append to the totals of posts and their time buckets."""

from __future__ import annotations

from sqlalchemy import Connection

from pipeline.store.database import row, rows

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
"""A trigger adds what is deleted here to the time buckets (``schema.sql``)."""


def compact(c: Connection) -> int:
    """Compact all deltas and return how many there were; zero while another transaction compacts."""
    if not rows(c, "SELECT 1 AS mine WHERE pg_try_advisory_xact_lock(:n)", n=_LOCK):
        return 0
    found = row(c, _COMPACT)
    return int(found.n) if found else 0
