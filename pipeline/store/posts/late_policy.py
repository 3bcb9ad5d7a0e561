"""The late policy of a workspace: what happens to late posts that have no policy of their own."""

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
    """A post without ``expires_at`` is too late this long ``after`` its due time, and is then skipped or held.

    The policy is read when a delivery is released, so a change applies to waiting posts.
    """

    after: timedelta
    on_late: OnLate


def set_policy(c: Connection, workspace: UUID, policy: LatePolicy | None) -> None:
    """Set the policy; None: late posts are published. Raises LookupError."""
    found = row(
        c,
        "UPDATE workspaces SET late_after = :after, on_late = :on_late WHERE id = :id RETURNING id",
        id=workspace,
        after=policy and policy.after,
        on_late=policy and policy.on_late,
    )
    if found is None:
        raise LookupError(f"There is no workspace {workspace}.")


def list_policies(c: Connection) -> Mapping[UUID, LatePolicy]:
    """Return the policies of all workspaces that have one."""
    found = rows(c, "SELECT id, late_after, on_late FROM workspaces WHERE late_after IS NOT NULL")
    return {r.id: LatePolicy(after=r.late_after, on_late=r.on_late) for r in found}
