"""Workspaces: the owners of posts, accounts and keys, with the plan that allows them to publish.

The late policy of a workspace: what happens to late posts that have no policy of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.account import Plan, Subscription, WorkspaceKind
from pipeline.store.database import insert, new_id, require_row, row, rows

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
    require_row(
        c,
        f"There is no workspace {workspace}.",
        "UPDATE workspaces SET late_after = :after, on_late = :on_late WHERE id = :id RETURNING id",
        id=workspace,
        after=policy and policy.after,
        on_late=policy and policy.on_late,
    )


def list_policies(c: Connection) -> Mapping[UUID, LatePolicy]:
    """Return the policies of all workspaces that have one."""
    found = rows(c, "SELECT id, late_after, on_late FROM workspaces WHERE late_after IS NOT NULL")
    return {r.id: LatePolicy(after=r.late_after, on_late=r.on_late) for r in found}


class NoSuchWorkspace(Exception):
    """No workspace, or more than one, has this id or name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Workspace:
    """A workspace."""

    id: UUID
    name: str
    kind: WorkspaceKind
    owner_user_id: UUID | None
    plan: Plan
    subscription: Subscription
    time_zone: str
    needs_approval: bool
    """Every post is sent only with an approval."""
    self_approval: bool
    """Authors may approve their own posts."""
    closed_at: datetime | None
    """Since when it is being deleted."""


_COLUMNS = (
    "id, name, kind, owner_user_id, plan, subscription, time_zone, needs_approval, self_approval, closed_at"
)


def create_workspace(
    c: Connection,
    *,
    name: str,
    kind: WorkspaceKind = WorkspaceKind.WORKSPACE,
    plan: Plan = Plan.BUSINESS,
    time_zone: str = "UTC",
) -> UUID:
    """Create a workspace and return its id; a personal one gets a new owner id."""
    identity = new_id()
    insert(
        c,
        "workspaces",
        id=identity,
        name=name,
        kind=kind,
        owner_user_id=new_id() if kind is WorkspaceKind.PERSONAL else None,
        plan=plan,
        subscription=Subscription.ACTIVE,
        time_zone=time_zone,
    )
    return identity


def set_plan(c: Connection, workspace: UUID, plan: Plan, subscription: Subscription) -> None:
    """Change plan and subscription. Raises NoSuchWorkspace."""
    if (
        row(
            c,
            "UPDATE workspaces SET plan = :plan, subscription = :subscription WHERE id = :id RETURNING id",
            id=workspace,
            plan=plan,
            subscription=subscription,
        )
        is None
    ):
        raise NoSuchWorkspace(f"There is no workspace {workspace}.")


def set_approval(c: Connection, workspace: UUID, *, needed: bool, by_author: bool) -> None:
    """Set whether posts need an approval, and whether their authors may give it. Raises LookupError."""
    require_row(
        c,
        f"There is no workspace {workspace}.",
        "UPDATE workspaces SET needs_approval = :needed, self_approval = :own WHERE id = :id RETURNING id",
        id=workspace,
        needed=needed,
        own=by_author,
    )


def list_workspaces(c: Connection) -> list[Workspace]:
    """Return all workspaces, oldest first."""
    return [_to_workspace(r) for r in rows(c, f"SELECT {_COLUMNS} FROM workspaces ORDER BY created_at")]


def find_workspace(c: Connection, name_or_id: str) -> Workspace:
    """Return the workspace with this id or unique name. Raises NoSuchWorkspace, also for one that is being deleted."""
    found = rows(
        c,
        f"""SELECT {_COLUMNS} FROM workspaces WHERE id::text = :given OR name = :given
            ORDER BY closed_at NULLS FIRST LIMIT 2""",
        given=name_or_id,
    )
    usable = [r for r in found if r.closed_at is None]
    if len(usable) != 1:
        raise NoSuchWorkspace(
            f"Several workspaces are named {name_or_id!r}: use the id."
            if usable
            else f"The workspace {name_or_id!r} is being deleted: nothing is done for it any more."
            if found
            else f"There is no workspace {name_or_id!r}."
        )
    return _to_workspace(usable[0])


def _to_workspace(r: object) -> Workspace:
    values = dict(r._mapping)  # type: ignore[attr-defined]
    return Workspace(
        **{
            **values,
            "kind": WorkspaceKind(values["kind"]),
            "plan": Plan(values["plan"]),
            "subscription": Subscription(values["subscription"]),
        }
    )
