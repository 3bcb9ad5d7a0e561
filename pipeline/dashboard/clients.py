"""The page of clients: add one, its plan, what happens to its late posts, and which of its posts need an approval.

Rules are for admins of the client; what it pays for, and that there is one, for admins of all.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from uuid import UUID

from sqlalchemy import Connection
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from pipeline.actions import workspaces as actions
from pipeline.api.http.timestamp import InvalidDuration, parse_duration
from pipeline.dashboard.ledger import act, read, write
from pipeline.dashboard.page import InvalidField, find_client, page, parse_choice, read_client, require_found
from pipeline.dashboard.render import render_form
from pipeline.dashboard.visitor import Visitor
from pipeline.domain.account import Plan, Role, Subscription, WorkspaceKind
from pipeline.domain.audit import Actor
from pipeline.domain.time_zone import UnknownZone, find_zone, list_zones
from pipeline.runtime.context import Context
from pipeline.store.auth.workspaces import LatePolicy, Workspace, list_policies, list_workspaces

PATH = "/dashboard/settings/clients"
MAX_NAME = 200
NEEDED = ("needed", "by-key")
"""Which posts of a client need an approval: all, or those of keys that need one."""
Found = tuple[list[Workspace], Mapping[UUID, LatePolicy]]


@page("/settings/clients", Role.ADMIN)
async def show_clients(request: Request, visitor: Visitor) -> Response:
    """List the clients that the visitor administers, and the rules of one that is chosen."""
    return await _render(request, visitor)


@page("/settings/clients", Role.ADMIN, "POST")
async def add(request: Request, visitor: Visitor) -> Response:
    """Add a client."""
    visitor.require_all()
    try:
        await write(request, _add, visitor.actor, request.state.form)
    except InvalidField as error:
        return await _render(request, visitor, error.args)
    return RedirectResponse(PATH, 303)


@page("/settings/clients/{rule}", Role.ADMIN, "POST")
async def set_rule(request: Request, visitor: Visitor) -> Response:
    """Set one of the `RULES` of a client."""
    work, form = require_found(RULES.get(request.path_params["rule"])), request.state.form
    if work is _set_plan:
        visitor.require_all()
    try:
        await act(request, work, visitor.actor, read_client(visitor, form, "client"), form)
    except InvalidField as error:
        return await _render(request, visitor, error.args)
    return RedirectResponse(PATH, 303)


async def _render(request: Request, visitor: Visitor, problem: Sequence[str] = ()) -> Response:
    form = getattr(request.state, "form", request.query_params)
    chosen = find_client(visitor, form.get("client"), "client", Role.ADMIN)
    found, policies = await read(request, _read, visitor.managed)
    own = {"clients": found, "policies": policies, "path": PATH, "longest": MAX_NAME}
    own |= {"chosen": next((one for one in found if one.id == chosen), None)}
    own |= {"zones": sorted(list_zones().values())}
    return render_form(request, "clients.html", problem, **own)


def _read(c: Connection, workspaces: Collection[UUID]) -> Found:
    found = [one for one in list_workspaces(c) if one.id in workspaces]
    return sorted(found, key=lambda one: one.name.casefold()), list_policies(c)


def _read_plan(form: FormData) -> Plan:
    plan = parse_choice(Plan, form.get("plan"), "plan")
    if plan is None:
        raise InvalidField("plan", "Choose a plan.")
    return plan


def _add(c: Connection, actor: Actor, form: FormData) -> None:
    name, plan = str(form.get("name", "")).strip(), _read_plan(form)
    if len(name) > MAX_NAME:
        raise InvalidField("name", f"The name has {len(name)} characters; {MAX_NAME} is the most.")
    try:
        zone = find_zone(str(form.get("time_zone", ""))).key
        actions.create_workspace(c, actor, name, WorkspaceKind.WORKSPACE, plan, zone)
    except (UnknownZone, actions.InvalidRule) as error:
        field = "time_zone" if isinstance(error, UnknownZone) else "name"
        raise InvalidField(field, str(error)) from None


def _set_approval(context: Context, actor: Actor, workspace: UUID, form: FormData) -> None:
    if form.get("needed") not in NEEDED:
        raise InvalidField("needed", "Choose which posts need an approval.")
    is_needed, is_own = form["needed"] == NEEDED[0], bool(form.get("by_author"))
    actions.set_approval(context, actor, workspace, needed=is_needed, by_author=is_own)


def _set_late(context: Context, actor: Actor, workspace: UUID, form: FormData) -> None:
    on_late, text = str(form.get("on_late", "")), str(form.get("after", "")).strip()
    if on_late not in actions.ON_LATE:
        raise InvalidField("on_late", "Choose what happens to late posts.")
    try:
        after = parse_duration(text) if text else None
        with context.database.begin() as c:
            actions.set_late(c, actor, workspace, on_late, after)
    except (InvalidDuration, actions.InvalidRule) as error:
        raise InvalidField("after", str(error)) from None


def _set_plan(context: Context, actor: Actor, workspace: UUID, form: FormData) -> None:
    plan, paid = _read_plan(form), parse_choice(Subscription, form.get("subscription"), "subscription")
    with context.database.begin() as c:
        actions.set_plan(c, actor, workspace, plan, paid)


Work = Callable[[Context, Actor, UUID, FormData], None]
RULES: Mapping[str, Work] = {"approval": _set_approval, "late": _set_late, "plan": _set_plan}
