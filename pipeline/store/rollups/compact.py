"""Adds what changes of posts have appended to the counts of posts: of all, of spans of time, of sets of accounts."""

from __future__ import annotations

from sqlalchemy import Connection

from pipeline.store.database import row, rows
from pipeline.store.rollups.account_sets import MINUTES

_FOLDING = 7_002_007
"""The advisory lock of whoever folds; another one has nothing to do meanwhile."""
_POSTS = """
WITH taken AS (DELETE FROM post_deltas RETURNING workspace_id, status, n),
added AS (
    INSERT INTO post_counts (workspace_id, status, n)
    SELECT workspace_id, status, sum(n) FROM taken GROUP BY workspace_id, status
    ON CONFLICT (workspace_id, status) DO UPDATE SET n = post_counts.n + excluded.n)
SELECT count(*) AS n FROM taken
"""
"""A trigger adds what is deleted here to the spans."""
_SETS = """
WITH taken AS (DELETE FROM account_set_deltas RETURNING *),
net AS MATERIALIZED (
    SELECT CAST(md5(concat(workspace_id, accounts)) AS uuid) AS set_id, workspace_id, accounts, starts_at, status,
           sum(n) AS n
    FROM taken GROUP BY 2, 3, 4, 5 HAVING sum(n) <> 0),
sets AS (
    INSERT INTO account_sets (id, workspace_id, accounts) SELECT DISTINCT set_id, workspace_id, accounts FROM net
    ON CONFLICT (id) DO NOTHING),
added AS (
    INSERT INTO account_set_spans AS s (set_id, minutes, starts_at, status, n)
    SELECT set_id, m, date_bin(make_interval(mins => m), starts_at, timestamptz 'epoch'), status, sum(n)
    FROM net, unnest(CAST(:minutes AS integer[])) AS m GROUP BY 1, 2, 3, 4 HAVING sum(n) <> 0
    ON CONFLICT (set_id, minutes, starts_at, status) DO UPDATE SET n = s.n + excluded.n
    RETURNING *)
SELECT array_agg(set_id) AS sets, array_agg(minutes) AS minutes, array_agg(starts_at) AS starts,
       array_agg(status) AS statuses FROM added WHERE n = 0
"""
_EMPTY = """
WITH gone AS (
    DELETE FROM account_set_spans WHERE (set_id, minutes, starts_at, status) IN (
        SELECT * FROM unnest(CAST(:sets AS uuid[]), CAST(:minutes AS integer[]), CAST(:starts AS timestamptz[]),
                             CAST(:statuses AS text[])))
    RETURNING 1)
SELECT count(*) FROM gone
"""


def fold(c: Connection) -> int:
    """How many changes of all posts were added up. Zero while somebody else does it."""
    if not rows(c, "SELECT 1 AS mine WHERE pg_try_advisory_xact_lock(:n)", n=_FOLDING):
        return 0
    _fold_sets(c)
    found = row(c, _POSTS)
    return int(found.n) if found else 0


def _fold_sets(c: Connection) -> None:
    found = row(c, _SETS, minutes=list(MINUTES))
    if found is not None and found.sets:
        row(c, _EMPTY, sets=found.sets, minutes=found.minutes, starts=found.starts, statuses=found.statuses)
