"""How many posts of each status go to none but certain accounts, told without counting them.

A key that is bound to accounts sees the posts that go to none but these (``ownership.py``). So posts are counted by the
set of accounts they go to, by ten minutes, an hour, six, a day, five, thirty, and (all there are) some 98 years: the
totals of such a key are those of all sets within its accounts. Triggers append to ``account_set_deltas`` (migration
0014), and folding adds that up.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.database import rows
from pipeline.store.deliveries.ownership import WITHIN, posts_within
from pipeline.store.rollups.time_buckets import CENTURY, PIECE, bounds
from pipeline.store.rollups.totals_by_status import OVERDUE_WITHIN, told

MINUTES = (CENTURY, 43_200, 7_200, 1_440, 360, 60, 10)
"""Lengths of the spans in ``account_set_spans``; by the minute there would be a row for nearly every post. They lie
closer than those of ``spans.py``: each is read once for every set."""
SETS_WITHIN = f"""SELECT id FROM account_sets
           WHERE workspace_id = :w AND accounts[1] = ANY({WITHIN}) AND accounts <@ {WITHIN}"""
"""The sets that have none but these accounts."""
_COUNTED = f"""
WITH {PIECE},
mine AS MATERIALIZED ({SETS_WITHIN})
SELECT status, CAST(sum(n) AS bigint) AS n FROM (
    SELECT x.status, p.sign * x.n AS n FROM piece p, LATERAL (
        SELECT status, n FROM account_set_spans s
        WHERE s.set_id = ANY(ARRAY(SELECT id FROM mine)) AND s.minutes = p.minutes
        AND s.starts_at >= p.starts_at AND s.starts_at < p.ends_at) x
    UNION ALL SELECT status, n FROM account_set_deltas
    WHERE workspace_id = :w AND accounts <@ {WITHIN} AND starts_at >= :whole AND starts_at < :whole_end
    UNION ALL SELECT x.status, p.sign * x.n FROM piece p, LATERAL (
        SELECT status, count(*) AS n FROM posts WHERE id IN (
            SELECT post_id FROM deliveries WHERE account_id = ANY({WITHIN})
            AND created_at >= p.starts_at AND created_at < p.ends_at)
        AND workspace_id = :w AND deleted_at IS NULL
        AND created_at >= p.starts_at AND created_at < p.ends_at AND {{within}} GROUP BY status) x
        WHERE p.minutes = 0) parts
GROUP BY status
UNION ALL {OVERDUE_WITHIN} AND {{within}}"""
"""For each piece one scan from set to set, of an index that has all it needs: to begin anew for each set, and to look
each row up in the table, takes three times as long."""


def counted_for(
    c: Connection, workspace: UUID, accounts: list[UUID], since: datetime | None, until: datetime | None
) -> dict[str, int]:
    """Posts made from ``since`` to ``until`` that go to none but these accounts, by status as a reader sees them."""
    values = bounds(since, until, MINUTES)
    if values is None:
        return {}
    within, bound = posts_within(accounts)
    return told(rows(c, _COUNTED.format(within=within), w=workspace, **values, **bound))
