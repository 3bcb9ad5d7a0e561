"""Create workspaces and set their rules, for the command line and the page of clients: each change with its audit row.

A rule takes effect at once, for posts already accepted too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.actions.approve import demand
from pipeline.domain.account import Plan, Subscription, WorkspaceKind
from pipeline.domain.audit import Actor
from pipeline.runtime.context import Context
from pipeline.store.audit import record_change
from pipeline.store.auth import workspaces as store
from pipeline.store.auth.keys import read_caller
from pipeline.store.auth.workspaces import LatePolicy, Workspace

PUBLISH, SKIP = "publish", "skip"
ON_LATE = (PUBLISH, SKIP, "hold")
"""What may happen to late posts: they go out, fail, or wait for an operator."""


class InvalidRule(ValueError):
    """What is given for a workspace breaks a rule. ``str()`` is a sentence for its author."""


def create_workspace(
    c: Connection, actor: Actor, name: str, kind: WorkspaceKind, plan: Plan, time_zone: str
) -> Workspace:
    """Create a workspace. Raises InvalidRule."""
    if not name.strip():
        raise InvalidRule("The name is empty: give one.")
    made = store.create_workspace(c, name=name, kind=kind, plan=plan, time_zone=time_zone)
    found = store.find_workspace(c, str(made))
    _record(c, actor, "create", made, {}, asdict(found))
    return found


def set_plan(
    c: Connection, actor: Actor, workspace: UUID, plan: Plan, subscription: Subscription | None
) -> Workspace:
    """Set the plan, and the subscription unless it is None. Raises NoSuchWorkspace."""
    found = store.find_workspace(c, str(workspace))
    store.set_plan(c, workspace, plan, subscription or found.subscription)
    changed = store.find_workspace(c, str(workspace))
    _record(c, actor, "set plan", workspace, asdict(found), asdict(changed))
    return changed


def set_late(
    c: Connection, actor: Actor, workspace: UUID, on_late: str, after: timedelta | None
) -> LatePolicy | None:
    """Set what happens to posts this late that have no expires_at. Raises InvalidRule, and LookupError."""
    if (after is None) != (on_late == PUBLISH) or after == timedelta(0):
        raise InvalidRule(
            "Say after how long posts are skipped or held, such as 2h; to publish them takes no duration."
        )
    made = None if after is None else LatePolicy(after=after, on_late="skip" if on_late == SKIP else "hold")
    before = store.list_policies(c).get(workspace)
    store.set_policy(c, workspace, made)
    _record(c, actor, "set late", workspace, *({"late": describe_policy(one)} for one in (before, made)))
    return made


def set_approval(
    context: Context, actor: Actor, workspace: UUID, *, needed: bool, by_author: bool
) -> tuple[Workspace, int]:
    """Set which posts wait for an approval; return the workspace, and how many of its open posts wait now.

    Posts that wait already go on waiting. Raises NoSuchWorkspace.
    """
    with context.database.begin() as c:
        found = store.find_workspace(c, str(workspace))
        store.set_approval(c, workspace, needed=needed, by_author=by_author)
        changed = store.find_workspace(c, str(workspace))
        _record(c, actor, "set approval", workspace, *map(asdict, (found, changed)))
        caller = read_caller(c, workspace, None)
    if not needed or caller is None:
        return changed, 0
    return changed, demand(context, replace(caller, actor=actor))


def describe_policy(policy: LatePolicy | None) -> str:
    """Describe a late policy: what is done, and after how long."""
    return PUBLISH if policy is None else f"{policy.on_late} after {policy.after}"


def _record(c: Connection, actor: Actor, verb: str, workspace: UUID, *sides: Mapping[str, Any]) -> None:
    record_change(c, actor, verb, "workspace", workspace, workspace, *sides)
