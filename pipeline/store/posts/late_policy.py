"""What a workspace wants done with posts that are late and say nothing about it themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal
from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.database import row, rows

OnLate = Literal["skip", "hold"]


@dataclass(frozen=True, kw_only=True, slots=True)
class LatePolicy:
    """A post without an ``expires_at`` is too late this long ``after`` its time, and is then skipped or held.

    It is read when the post's turn comes: a change counts for what waits already.
    """

    after: timedelta
    on_late: OnLate


def set_policy(c: Connection, workspace: UUID, policy: LatePolicy | None) -> None:
    """Sets it; None: what is late is published. The workspace must exist."""
    found = row(
        c,
        "UPDATE workspaces SET late_after = :after, on_late = :on_late WHERE id = :id RETURNING id",
        id=workspace,
        after=policy and policy.after,
        on_late=policy and policy.on_late,
    )
    if found is None:
        raise LookupError(f"There is no workspace {workspace}.")


def policies(c: Connection) -> Mapping[UUID, LatePolicy]:
    """Of all workspaces that have one."""
    found = rows(c, "SELECT id, late_after, on_late FROM workspaces WHERE late_after IS NOT NULL")
    return {r.id: LatePolicy(after=r.late_after, on_late=r.on_late) for r in found}
