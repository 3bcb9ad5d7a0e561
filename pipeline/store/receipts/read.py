"""Receipts: read the heads of chains, and their lines page by page."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.receipt import Head
from pipeline.store.database import row, rows
from pipeline.store.selection import where_given


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkspaceHead:
    """The last receipt of a workspace."""

    workspace_id: UUID
    workspace: str
    head: Head
    issued_at: datetime


def list_heads(c: Connection, workspace: UUID | None = None) -> list[WorkspaceHead]:
    """Return the heads of all workspaces with receipts, by name, or of one."""
    chosen = where_given({"w": "h.workspace_id = :w"}, w=workspace)
    found = rows(
        c,
        f"""SELECT h.workspace_id, coalesce(w.name, '') AS workspace, h.sequence, h.hash, h.issued_at
           FROM receipt_heads h LEFT JOIN workspaces w ON w.id = h.workspace_id
           WHERE h.sequence > 0 AND {chosen}
           ORDER BY workspace, h.workspace_id""",
        **chosen.values,
    )
    return [
        WorkspaceHead(
            workspace_id=r.workspace_id,
            workspace=r.workspace,
            issued_at=r.issued_at,
            head=Head(sequence=r.sequence, hash=r.hash),
        )
        for r in found
    ]


def list_lines(c: Connection, workspace: UUID, first: int, last: int) -> list[str]:
    """Return the lines of receipts ``first`` to ``last``, both inclusive."""
    found = rows(
        c,
        """SELECT line FROM receipts WHERE workspace_id = :w AND sequence BETWEEN :first AND :last
           ORDER BY sequence""",
        w=workspace,
        first=first,
        last=last,
    )
    return [r.line for r in found]


def find_first_since(c: Connection, workspace: UUID, head: Head, instant: datetime) -> int:
    """Return the sequence of the first receipt issued at this time or later; the head's plus one when there is none.

    By bisection: sequence numbers have no gaps, and times never decrease.
    """

    def issued_at(sequence: int) -> datetime:
        found = row(
            c,
            "SELECT issued_at FROM receipts WHERE workspace_id = :w AND sequence = :s",
            w=workspace,
            s=sequence,
        )
        return datetime.max.replace(tzinfo=UTC) if found is None else found.issued_at

    return 1 + bisect_left(range(1, head.sequence + 1), instant, key=issued_at)
