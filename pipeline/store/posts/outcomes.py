"""How many posts are due in each span of time, by what has become of them: for a page that shows a day by hour."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.database import read_all

COUNTED = 10_000
"""Posts that are counted, in all spans together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OutcomeCount:
    """How many posts are due in the ``span``-th span, by what has become of them."""

    span: int
    outcome: str
    """live, failed (at some account) or to_come."""
    posts: int
    clients: int
    """Workspaces with a post in any of the spans."""
    is_capped: bool
    """``COUNTED`` posts were counted, and there may be more."""


# Two indexes, as for the calendar: one of what waits, whose status is not read, and one of the rest. Pairs as bounds,
# or the planner takes an index of the due times of all workspaces.
_DUE = " UNION ALL ".join(
    f"""SELECT o.workspace_id, o.due_at, {status} AS status FROM posts o
        WHERE (o.workspace_id, o.due_at) >= (w.id, CAST(:first AS timestamptz))
          AND (o.workspace_id, o.due_at) < (w.id, CAST(:until AS timestamptz))
          AND o.deleted_at IS NULL AND o.status {which} 'scheduled'"""
    for which, status in (("=", "'scheduled'"), ("<>", "o.status"))
)
_OUTCOMES = f"""
WITH due AS MATERIALIZED (
    SELECT o.* FROM unnest(CAST(:workspaces AS uuid[])) AS w (id) CROSS JOIN LATERAL ({_DUE}) o LIMIT :cap
)
SELECT width_bucket(due_at, CAST(:starts AS timestamptz[])) - 1 AS span,
       CASE WHEN status = 'posted' THEN 'live' WHEN status IN ('failed', 'partial') THEN 'failed'
            ELSE 'to_come' END AS outcome, count(*) AS posts,
       (SELECT count(DISTINCT workspace_id) FROM due) AS clients, (SELECT count(*) FROM due) = :cap AS is_capped
FROM due WHERE status <> 'canceled' GROUP BY 1, 2 ORDER BY 1, 2
"""


def count_outcomes(
    c: Connection, workspaces: Collection[UUID], spans: Sequence[tuple[datetime, datetime]]
) -> list[OutcomeCount]:
    """Count the posts of these workspaces by span and outcome, canceled ones left out. The spans follow each other."""
    starts = [start for start, _ in spans]
    values = {"starts": starts, "first": starts[0], "until": spans[-1][1], "cap": COUNTED}
    return read_all(c, OutcomeCount, _OUTCOMES, workspaces=list(workspaces), **values)
