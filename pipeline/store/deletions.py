"""Deletions of workspaces: the job of each, what there was, and how far it is. Its row outlives the workspace.

A workspace that is closed has no valid key and no page, and a pause keeps all that is not armed. What is or may be live
settles first; then its rows are erased (``erase``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.database import (
    build,
    find_value,
    has_row,
    jsonb,
    list_columns,
    read_column,
    read_number,
    row,
)
from pipeline.store.jobs import JobTable
from pipeline.store.moves import NEWEST_MOVE
from pipeline.store.selection import Keyset, select, where_given


class DeletionState(StrEnum):
    """The states of a deletion."""

    CLOSING = "closing"  #: what is not armed is canceled, what is in flight settles
    ERASING = "erasing"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Deletion:
    """One deletion. ``counted``: when it was confirmed; ``erased``: rows by table; ``grants``: outcomes by account."""

    id: UUID
    name: str
    state: str
    """One of DeletionState."""
    counted: Mapping[str, Any]
    erased: Mapping[str, int]
    grants: Mapping[str, Mapping[str, Any]]
    position: int | None
    """The newest move when everything had settled; None: something has not."""
    again: bool
    """A backup brought the workspace back after it was erased: everything of it had settled before."""
    created_at: datetime
    moved_at: datetime
    ended_at: datetime | None

    @property
    def workspace_id(self) -> UUID:
        """The workspace."""
        return self.id

    @property
    def key_id(self) -> None:
        """No key deletes a workspace."""
        return


_PARTS = ("accepted, scheduled, retrying", "blocked", "queued, publishing", "preparing, processing, unknown")
"""The unsettled states, as the partial indexes of deliveries group them."""
_WAITING = " UNION ALL ".join(
    f"""SELECT d.id, d.post_id FROM accounts a JOIN deliveries d ON d.account_id = a.id
        WHERE a.workspace_id = :w AND d.state IN ({", ".join(f"'{state}'" for state in part.split(", "))})
          AND (NOT d.is_comment OR d.armed_at IS NOT NULL OR d.state = 'publishing')"""
    for part in _PARTS
)
"""What has to settle first. A first comment that was not sent is erased as it is."""


_COUNT = """
SELECT jsonb_build_object(
    'posts', (SELECT coalesce(jsonb_object_agg(status, n), '{}') FROM (
        SELECT status, count(*) AS n FROM posts WHERE workspace_id = :w GROUP BY 1) p),
    'accounts', (SELECT count(*) FROM accounts WHERE workspace_id = :w),
    'files', (SELECT count(*) FROM files WHERE workspace_id = :w),
    'bytes', (SELECT coalesce(sum(size), 0) FROM files WHERE workspace_id = :w),
    'imports', (SELECT count(*) FROM imports WHERE workspace_id = :w),
    'keys', (SELECT count(*) FROM keys WHERE workspace_id = :w),
    'webhooks', (SELECT count(*) FROM webhooks WHERE workspace_id = :w AND deleted_at IS NULL),
    'roles', (SELECT count(*) FROM memberships WHERE workspace_id = :w)) AS counts
"""


def count_contents(c: Connection, workspace: UUID) -> Mapping[str, Any]:
    """Count what a workspace has: posts by status, accounts, files and their bytes, keys, webhooks, and roles."""
    return find_value(c, dict, _COUNT, w=workspace) or {}


_CLOSE = """
WITH closed AS (UPDATE workspaces SET closed_at = coalesce(closed_at, now()) WHERE id = :w RETURNING id, name),
     roles AS (DELETE FROM memberships WHERE workspace_id = :w),
     hooks AS (UPDATE webhooks SET deleted_at = now() WHERE workspace_id = :w AND deleted_at IS NULL)
INSERT INTO deletions (id, name, counted, again) SELECT id, name, :counted, :again FROM closed
ON CONFLICT (id) DO UPDATE SET state = 'closing', again = :again, position = NULL, error = NULL, ended_at = NULL,
    moved_at = now(), lease_until = NULL
RETURNING id
"""


def close_workspace(c: Connection, workspace: UUID, counted: Mapping[str, Any], *, again: bool) -> bool:
    """Close a workspace and store its deletion; False if it was closed before, or there is none.

    *again*: a backup brought it back; a deletion that the backup holds begins again.
    """
    # the lock waits for requests that store a post
    found = row(c, "SELECT closed_at FROM workspaces WHERE id = :w FOR UPDATE", w=workspace)
    if found is None or (found.closed_at is not None and not again):
        return False
    return has_row(c, _CLOSE, w=workspace, counted=jsonb(dict(counted)), again=again)


def list_deletions(c: Connection, name_or_id: str | None = None, *, working: bool = False) -> list[Deletion]:
    """Return the deletions, newest first, of a workspace with this name or id. *working*: those that have a step."""
    chosen = where_given(
        {"given": "(name = :given OR id::text = :given)", "states": "state = ANY (CAST(:states AS text[]))"},
        given=name_or_id,
        states=["closing", "erasing"] if working else None,
    )
    return select(c, Deletion, "deletions", chosen, by="created_at DESC")


_ORDER = Keyset({"post_id": "uuid"})


def list_waiting(c: Connection, workspace: UUID, limit: int, after: UUID | None = None) -> list[UUID]:
    """Return posts with a delivery that has not settled, in order of their ids."""
    start = _ORDER.start_after(None if after is None else [after])
    sql = f"SELECT DISTINCT post_id FROM ({_WAITING}) d WHERE {start} ORDER BY post_id LIMIT :n"
    return read_column(c, sql, w=workspace, n=limit, **start.values)


def count_waiting(c: Connection, workspace: UUID) -> int:
    """Count the deliveries that have not settled."""
    return read_number(c, f"SELECT count(*) AS n FROM ({_WAITING}) d", w=workspace)


def find_newest_move(c: Connection) -> int:
    """Return the id of the newest move that may be there."""
    return read_number(c, NEWEST_MOVE)


def is_read(c: Connection, move: int) -> bool:
    """Return True if every reader of the moves has read this one: its receipt is written."""
    return not has_row(c, "SELECT 1 AS one FROM move_progress WHERE done < :move LIMIT 1", move=move)


def is_shared(c: Connection, account: UUID) -> bool:
    """Return True if another workspace that is not closed has the same account: a revocation would end its grant."""
    return has_row(
        c,
        """SELECT 1 AS one FROM accounts a JOIN accounts o ON o.platform = a.platform AND o.remote_id = a.remote_id
           JOIN workspaces w ON w.id = o.workspace_id AND w.closed_at IS NULL
           WHERE a.id = :id AND o.workspace_id <> a.workspace_id LIMIT 1""",
        id=account,
    )


def find_name(c: Connection, workspace: UUID) -> str | None:
    """Return the name of a workspace that is there; None: there is none."""
    return find_value(c, str, "SELECT name FROM workspaces WHERE id = :w", w=workspace)


JOBS = JobTable(
    name="deletions",
    noun="workspace",
    columns=list_columns(Deletion),
    to_job=partial(build, Deletion),
    working="state IN ('closing', 'erasing')",
    list_begun_by=lambda _: ("delete",),
    of_closed=True,
)
