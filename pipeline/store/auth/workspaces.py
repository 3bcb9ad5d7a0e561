"""Workspaces: the owners of posts, accounts and keys, with the plan that allows them to publish.

The late policy of a workspace: what happens to late posts that have no policy of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.account import Plan, Subscription, WorkspaceKind
from pipeline.store.database import execute, insert, new_id, rows
from pipeline.store.selection import Where, select, where

OnLate = Literal["skip", "hold"]


@dataclass(frozen=True, kw_only=True, slots=True)
class LatePolicy:
    """A post without ``expires_at`` is too late this long ``after`` its due time, and is then skipped or held.

    The policy is read when a delivery is released, so a change applies to waiting posts.
    """

    after: timedelta
    on_late: OnLate


def set_policy(c: Connection, workspace: UUID, policy: LatePolicy | None) -> None:
    """Set the policy; None: late posts are published. Raises NoSuchWorkspace."""
    _change(c, workspace, late_after=policy and policy.after, on_late=policy and policy.on_late)


def list_policies(c: Connection) -> Mapping[UUID, LatePolicy]:
    """Return the policies of all workspaces that have one."""
    found = rows(c, "SELECT id, late_after, on_late FROM workspaces WHERE late_after IS NOT NULL")
    return {r.id: LatePolicy(after=r.late_after, on_late=r.on_late) for r in found}


class NoSuchWorkspace(LookupError):
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
    _change(c, workspace, plan=plan, subscription=subscription)


def set_approval(c: Connection, workspace: UUID, *, needed: bool, by_author: bool) -> None:
    """Set whether posts need an approval, and whether their authors may give it. Raises NoSuchWorkspace."""
    _change(c, workspace, needs_approval=needed, self_approval=by_author)


def _change(c: Connection, workspace: UUID, **columns: Any) -> None:
    names = ", ".join(f"{name} = :{name}" for name in columns)
    if not execute(c, f"UPDATE workspaces SET {names} WHERE id = :id", id=workspace, **columns):
        raise NoSuchWorkspace(f"There is no workspace {workspace}.")


def list_workspaces(c: Connection) -> list[Workspace]:
    """Return all workspaces, oldest first."""
    return select(c, Workspace, "workspaces", Where(), by="created_at")


def find_workspace(c: Connection, name_or_id: str) -> Workspace:
    """Return the workspace with this id or unique name. Raises NoSuchWorkspace, also for one that is being deleted."""
    given = where("(id::text = :given OR name = :given)", given=name_or_id)
    found = select(c, Workspace, "workspaces", given, by="closed_at NULLS FIRST", limit=2)
    usable = [r for r in found if r.closed_at is None]
    if len(usable) != 1:
        raise NoSuchWorkspace(
            f"Several workspaces are named {name_or_id!r}: use the id."
            if usable
            else f"The workspace {name_or_id!r} is being deleted: nothing is done for it any more."
            if found
            else f"There is no workspace {name_or_id!r}."
        )
    return usable[0]
