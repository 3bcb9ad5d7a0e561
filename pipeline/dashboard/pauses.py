"""The page of pauses: who paused what and why, and how many deliveries each holds; add one, and end one."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import cast
from uuid import UUID

from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from adapters.contract import Platform
from pipeline.actions.pauses import lift_and_release, pause
from pipeline.dashboard.ledger import act, read
from pipeline.dashboard.page import page, parse_choice, parse_id
from pipeline.dashboard.render import render
from pipeline.dashboard.visitor import Forbidden, Visitor
from pipeline.domain.account import Role
from pipeline.domain.audit import Actor
from pipeline.domain.hold import BREAKER, EVERYWHERE, SCOPES, LiftedScope, Scope
from pipeline.runtime.context import Context
from pipeline.store.accounts.health import AccountHealth, find_workspace_of, list_health
from pipeline.store.deliveries.pauses import Pause, list_pauses
from pipeline.store.deliveries.platform_health import list_open_breakers

PATH = "/dashboard/pauses"
CAP = 10_000
"""Deliveries that are counted for one pause."""
LONGEST_WHY = 500
_NAMES = {
    "all": "Everything",
    "platform": "Platform",
    "workspace": "Workspace",
    "account": "Account",
    "delivery": "Steering job",
    BREAKER: "Breaker of",
}


@page(Role.VIEWER)
async def show_pauses(request: Request, visitor: Visitor) -> Response:
    """List the pauses that concern the visitor's workspaces."""
    return await _render(request, visitor)


@page(Role.OPERATOR)
async def add(request: Request, visitor: Visitor) -> Response:
    """Pause a target. Pausing it again gives it another reason."""
    what, why = str(request.state.form.get("what", "")), str(request.state.form.get("why", "")).strip()
    scope, target = await _read_target(request, visitor, *what.partition(":")[::2])
    if not 0 < len(why) <= LONGEST_WHY:
        problem = f"Why has to have 1 to {LONGEST_WHY} characters; it has {len(why)}."
        return await _render(request, visitor, what, why, problem)
    await act(request, _add, visitor.actor, cast("Scope", scope), target, why)
    return RedirectResponse(PATH, 303)


@page(Role.OPERATOR)
async def end(request: Request, visitor: Visitor) -> Response:
    """End a pause, or close a breaker. One that has ended already is no error."""
    form = request.state.form
    scope, target = await _read_target(
        request, visitor, str(form.get("scope", "")), str(form.get("target", ""))
    )
    await act(request, lift_and_release, visitor.actor, scope, target)
    return RedirectResponse(PATH, 303)


async def _render(
    request: Request, visitor: Visitor, what: str = "", why: str = "", problem: str = ""
) -> Response:
    account = parse_id(request.query_params.get("account"), "account")
    mine = None if visitor.has_everywhere(Role.VIEWER) else visitor.workspaces(Role.VIEWER)
    pauses, chosen = await read(request, _read_page, mine, visitor.workspaces(Role.OPERATOR), account)
    return render(
        request,
        visitor,
        "pauses.html",
        422 if problem else 200,
        pauses=pauses,
        scopes=_NAMES,
        cap=CAP,
        targets=list(_list_targets(visitor, chosen)),
        given={"what": what or (f"account:{account}" if account else ""), "why": why},
        problem=problem,
        longest=LONGEST_WHY,
        may_change=lambda scope, workspace: _may_change(visitor, scope, workspace),
    )


def _read_page(
    c: Connection, mine: Collection[UUID] | None, steered: Collection[UUID], account: UUID | None
) -> tuple[list[Pause], list[AccountHealth]]:
    breakers = [
        Pause(
            scope=BREAKER,
            target=b.platform,
            name=b.platform,
            workspace_id=None,
            why=f"{b.why}; it is tried again by itself",
            who="system",
            since=b.opened_at,
            holds=b.holds,
        )
        for b in list_open_breakers(c, mine, CAP)
    ]
    chosen = [] if account is None else list_health(c, steered, account=account)
    return list_pauses(c, mine, CAP) + breakers, chosen


def _list_targets(visitor: Visitor, accounts: Collection[AccountHealth]) -> Iterator[tuple[str, str]]:
    """Yield what the visitor may pause: the field's value, and its name."""
    for one in accounts:
        yield f"account:{one.account.id}", f"account {one.account.platform} {one.account.username}"
    for workspace in visitor.workspaces(Role.OPERATOR):
        yield f"workspace:{workspace}", f"workspace {visitor.names[workspace]}"
    if visitor.has_everywhere(Role.OPERATOR):
        for platform in Platform:
            yield f"platform:{platform}", f"platform {platform}"
        yield "all:", "everything"


def _may_change(visitor: Visitor, scope: str, workspace: UUID | None) -> bool:
    if scope in EVERYWHERE:
        return visitor.has_everywhere(Role.OPERATOR)
    return workspace in visitor.workspaces(Role.OPERATOR)


async def _read_target(
    request: Request, visitor: Visitor, scope: str, target: str
) -> tuple[LiftedScope, str]:
    """Return the scope and its target, as they are stored. Raises HTTPException 400 or 404, and Forbidden."""
    if scope not in {*SCOPES, BREAKER}:
        raise HTTPException(400, f"There is no scope {scope[:100]!r}.")
    workspace: UUID | None = None
    if scope in {"platform", BREAKER}:
        target = parse_choice(Platform, target, "platform") or ""
    elif scope != "all":
        found = parse_id(target, scope)
        target = str(found or "")
        workspace = found
        if scope == "account" and found is not None:
            workspace = await read(request, find_workspace_of, found)
    if (scope == "all") != (target == ""):
        raise HTTPException(400, f"The scope {scope} needs {'no' if scope == 'all' else 'a'} target.")
    if scope not in EVERYWHERE and workspace not in visitor.roles:
        raise HTTPException(404)
    if not _may_change(visitor, scope, workspace):
        raise Forbidden("This needs the role operator, in all workspaces for what concerns all of them.")
    return cast("LiftedScope", scope), target


def _add(context: Context, actor: Actor, scope: Scope, target: str, why: str) -> None:
    with context.database.begin() as c:
        pause(c, actor, scope, target, why)


ROUTES = (
    Route("/pauses", show_pauses, methods=["GET"]),
    Route("/pauses", add, methods=["POST"]),
    Route("/pauses/end", end, methods=["POST"]),
)
