"""Claims of checks: the next due one, shared fairly between workspaces and hosts.

What a workspace or host may have under way is counted by the process that claims (``pipeline/check_slots.py``), for its
own slots only: a quarter of the slots of each process is a quarter of them all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.checks.checks import COLUMNS, Check
from pipeline.store.database import row

CANDIDATES = 8
"""Checks that are considered, so that several processes that claim at once find one each."""

DEPTH = 200
"""Due checks of a workspace that are read to find one whose host is not full."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimedCheck:
    """A check under lease, and the workspace and host that it counts for. ``host`` of a music link: empty."""

    check: Check
    workspace_id: UUID
    host: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Shares:
    """What the claiming process has under way, and what it may claim."""

    running: Mapping[UUID, int]
    """Checks under way by workspace, those with none left out."""
    full_hosts: Sequence[str]
    """Hosts that have their share."""
    share: int
    """Checks that a workspace may have under way while another one waits."""
    only_new: bool
    """Claim only for a workspace with none under way, from a host that is not full: the last slots are for these."""


_HOST = "CASE WHEN purpose = 'music' THEN '' ELSE substring(lower(url) from '//(?:[^/?#]*@)?([^/?#]*)') END"
_IS_DUE = "verdict IS NULL AND next_at <= now() AND (lease_until IS NULL OR lease_until < now())"

_CLAIM = f"""
WITH RECURSIVE w AS (
    (SELECT workspace_id FROM checks WHERE verdict IS NULL ORDER BY workspace_id LIMIT 1)
    UNION ALL
    SELECT (SELECT workspace_id FROM checks c WHERE verdict IS NULL AND c.workspace_id > w.workspace_id
            ORDER BY workspace_id LIMIT 1)
    FROM w WHERE w.workspace_id IS NOT NULL
), candidates AS (
    SELECT x.id, x.due_at, coalesce(r.n, 0) AS running,
           CASE WHEN x.is_full OR coalesce(r.n, 0) >= :share THEN 2 WHEN r.n IS NULL THEN 0 ELSE 1 END AS turn
    FROM w
    LEFT JOIN unnest(CAST(:workspaces AS uuid[]), CAST(:counts AS int[])) AS r (workspace_id, n)
      ON r.workspace_id = w.workspace_id
    CROSS JOIN LATERAL (
        SELECT id, due_at, {_HOST} = ANY(CAST(:full_hosts AS text[])) AS is_full
        FROM (SELECT id, due_at, purpose, url FROM checks
              WHERE workspace_id = w.workspace_id AND slow = :slow AND {_IS_DUE} ORDER BY due_at LIMIT {DEPTH}) first
        ORDER BY is_full, due_at LIMIT {CANDIDATES}
    ) x
    WHERE w.workspace_id IS NOT NULL AND (r.n IS NULL OR NOT :only_new)
), picked AS (
    SELECT k.id FROM candidates c JOIN checks k ON k.id = c.id
    WHERE {_IS_DUE} AND (c.turn = 0 OR NOT :only_new)
    ORDER BY c.turn, CASE WHEN c.turn = 2 THEN c.running END, c.due_at, k.id
    LIMIT 1 FOR UPDATE OF k SKIP LOCKED
)
UPDATE checks k SET lease_until = now() + :lease, tries = tries + 1 FROM picked WHERE k.id = picked.id
RETURNING {", ".join(f"k.{name}" for name in COLUMNS)}, k.workspace_id, {_HOST} AS host
"""


def claim_next_check(c: Connection, lease: timedelta, shares: Shares, *, slow: bool) -> ClaimedCheck | None:
    """Claim the undecided check that is due next, or return None if there is none for these shares.

    First come workspaces with nothing under way, then those below their share, both in the order of due times; last
    those that have their share, with the fewest under way first.
    """
    found = row(
        c,
        _CLAIM,
        lease=lease,
        slow=slow,
        workspaces=list(shares.running),
        counts=list(shares.running.values()),
        full_hosts=list(shares.full_hosts),
        share=shares.share,
        only_new=shares.only_new,
    )
    if found is None:
        return None
    values = dict(found._mapping)
    workspace, host = values.pop("workspace_id"), values.pop("host")
    return ClaimedCheck(check=Check(**values), workspace_id=workspace, host=host or "")
