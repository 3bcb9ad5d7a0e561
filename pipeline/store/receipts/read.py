"""Reading receipts: heads, and lines in their order, page by page."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.receipt import Head
from pipeline.store.database import row, rows


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkspaceHead:
    """The last receipt of a workspace."""

    workspace_id: UUID
    workspace: str
    head: Head
    issued_at: datetime


def heads(c: Connection, workspace: UUID | None = None) -> list[WorkspaceHead]:
    """Of the workspaces that have receipts, by name; of one, or all."""
    found = rows(
        c,
        """SELECT h.workspace_id, coalesce(w.name, '') AS workspace, h.sequence, h.hash, h.issued_at
           FROM receipt_heads h LEFT JOIN workspaces w ON w.id = h.workspace_id
           WHERE h.sequence > 0 AND (CAST(:w AS uuid) IS NULL OR h.workspace_id = :w)
           ORDER BY workspace, h.workspace_id""",
        w=workspace,
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


def lines(c: Connection, workspace: UUID, first: int, last: int) -> list[str]:
    """Receipts ``first`` to ``last``, both included, in their order."""
    found = rows(
        c,
        """SELECT line FROM receipts WHERE workspace_id = :w AND sequence BETWEEN :first AND :last
           ORDER BY sequence""",
        w=workspace,
        first=first,
        last=last,
    )
    return [r.line for r in found]


def first_since(c: Connection, workspace: UUID, head: Head, moment: datetime) -> int:
    """The first receipt issued at this moment or later; one beyond the head when there is none.

    By halving: sequence numbers have no gaps, and times never go back.
    """

    def issued_at(sequence: int) -> datetime:
        found = row(
            c,
            "SELECT issued_at FROM receipts WHERE workspace_id = :w AND sequence = :s",
            w=workspace,
            s=sequence,
        )
        return datetime.max.replace(tzinfo=UTC) if found is None else found.issued_at

    return 1 + bisect_left(range(1, head.sequence + 1), moment, key=issued_at)
