"""`slipway workspace`: workspaces, their plans, and what happens to their late posts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli import EXAMPLE, EXAMPLES
from pipeline.cli.durations import DURATION
from pipeline.cli.output import json_option, pick, print_fields, print_rows
from pipeline.cli.runtime import open_transaction
from pipeline.domain.account import Plan, Subscription, WorkspaceKind

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy import Connection

    from pipeline.store.auth.workspaces import LatePolicy


@click.group()
def command() -> None:
    """Workspaces: the owners of posts, with the plan they publish by."""


@command.command(epilog=EXAMPLE + "slipway workspace create Acme --time-zone Europe/Berlin")
@click.argument("name")
@click.option(
    "--kind", type=click.Choice([k.value for k in WorkspaceKind]), default="workspace", show_default=True
)
@click.option("--plan", type=click.Choice([p.value for p in Plan]), default="business", show_default=True)
@click.option("--time-zone", default="UTC", show_default=True, help="IANA name, such as Europe/Berlin.")
@json_option
def create(name: str, kind: str, plan: str, time_zone: str, *, as_json: bool) -> None:
    """Create a workspace. A personal one also gets an owner."""
    from pipeline.store.auth.workspaces import create_workspace, find_workspace

    _require_zone(time_zone)
    if not name.strip():
        raise click.ClickException("The name is empty: give one.")
    with open_transaction() as c:
        made = create_workspace(c, name=name, kind=WorkspaceKind(kind), plan=Plan(plan), time_zone=time_zone)
        found = _to_dict(find_workspace(c, str(made)))
        _record(c, "create", made, {}, found)
    print_fields(found, as_json=as_json)


@command.command("list", epilog=EXAMPLE + "slipway workspace list --json")
@json_option
def list_(*, as_json: bool) -> None:
    """List all workspaces, oldest first."""
    from pipeline.store.auth.workspaces import list_policies, list_workspaces

    with open_transaction() as c:
        late = list_policies(c)
        found = [{**_to_dict(w), "late": _describe(late.get(w.id))} for w in list_workspaces(c)]
    print_rows(found, as_json=as_json, empty="No workspaces. `slipway workspace create NAME` makes one.")


@command.command(epilog=EXAMPLE + "slipway workspace set-plan Acme professional --subscription past_due")
@click.argument("workspace")
@click.argument("plan", type=click.Choice([p.value for p in Plan]))
@click.option(
    "--subscription", type=click.Choice([s.value for s in Subscription]), help="Default: unchanged."
)
@json_option
def set_plan(workspace: str, plan: str, subscription: str | None, *, as_json: bool) -> None:
    """Change the plan of WORKSPACE (name or id). Its keys publish by the new plan at once."""
    from pipeline.store.auth.workspaces import find_workspace
    from pipeline.store.auth.workspaces import set_plan as store_plan

    with open_transaction() as c:
        found = find_workspace(c, workspace)
        store_plan(c, found.id, Plan(plan), Subscription(subscription or found.subscription))
        changed = _to_dict(find_workspace(c, str(found.id)))
        _record(c, "set plan", found.id, _to_dict(found), changed)
    print_fields(changed, as_json=as_json)


@command.command(
    epilog=f"{EXAMPLES}slipway workspace set-late Acme hold --after 2h\n"
    "  slipway workspace set-late Acme publish"
)
@click.argument("workspace")
@click.argument("on_late", metavar="publish|skip|hold", type=click.Choice(["publish", "skip", "hold"]))
@click.option("--after", type=DURATION, help="How late counts as late: 30m, 2h, 1d. Not with publish.")
@json_option
def set_late(workspace: str, on_late: str, after: timedelta | None, *, as_json: bool) -> None:
    """Set what happens to late posts of WORKSPACE without expires_at: publish, skip (fail) or hold for an operator.

    It takes effect at once, for posts already accepted too.
    """
    from pipeline.store.auth.workspaces import LatePolicy, find_workspace, list_policies, set_policy

    if (after is None) != (on_late == "publish") or after == timedelta(0):
        raise click.ClickException("skip and hold need a duration (--after 2h); publish takes none.")
    policy = (
        None if after is None else LatePolicy(after=after, on_late="skip" if on_late == "skip" else "hold")
    )
    with open_transaction() as c:
        found = find_workspace(c, workspace)
        before = _describe(list_policies(c).get(found.id))
        set_policy(c, found.id, policy)
        _record(c, "set late", found.id, {"late": before}, {"late": _describe(policy)})
    print_fields({"id": found.id, "name": found.name, "late": _describe(policy)}, as_json=as_json)


def _record(
    c: Connection, verb: str, workspace: UUID, before: Mapping[str, Any], after: Mapping[str, Any]
) -> None:
    from pipeline.cli.actor import find_actor
    from pipeline.store.audit import record_change

    record_change(c, find_actor(), verb, "workspace", workspace, workspace, before, after)


def _describe(policy: LatePolicy | None) -> str:
    """Describe the policy: what is done, and after how long."""
    return "publish" if policy is None else f"{policy.on_late} after {policy.after}"


def _to_dict(workspace: Any) -> dict[str, Any]:
    return pick(workspace, "id name kind owner_user_id plan subscription time_zone")


def _require_zone(name: str) -> None:
    from zoneinfo import available_timezones

    known = available_timezones() | {"UTC"}
    if name not in known:
        from difflib import get_close_matches

        near = get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else "give an IANA name such as Europe/Berlin."
        raise click.ClickException(f"There is no time zone {name!r}: {hint}")
