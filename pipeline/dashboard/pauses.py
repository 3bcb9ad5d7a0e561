"""The page of pauses: who paused what and why, and how many posts each holds; add one, and end one.

The accounts of one platform of a workspace are paused together, each by a pause of its own.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import cast
from urllib.parse import urlencode
from uuid import UUID

from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from adapters.contract import Platform
from pipeline.actions.pauses import lift_and_release, pause
from pipeline.actions.undo import undo_pauses
from pipeline.dashboard.ledger import act, act_for, read, write
from pipeline.dashboard.login import choose_next
from pipeline.dashboard.page import HOME, page, parse_choice, parse_id, require_found
from pipeline.dashboard.render import render
from pipeline.dashboard.visitor import Forbidden, Visitor
from pipeline.dashboard.words import name_platform
from pipeline.domain.account import Role
from pipeline.domain.audit import Actor
from pipeline.domain.hold import BREAKER, EVERYWHERE, SCOPES, LiftedScope, Scope
from pipeline.domain.steering import UNDO_WITHIN
from pipeline.store.accounts.accounts import find_accounts
from pipeline.store.accounts.health import find_workspace_of
from pipeline.store.deliveries.pauses import Pause, list_pauses
from pipeline.store.deliveries.platform_health import list_open_breakers
from pipeline.store.health import database_now
from pipeline.store.posts.undo_log import find_change

PATH = "/dashboard/pauses"
CAP = 10_000
"""Deliveries that are counted for one pause."""
LONGEST_WHY = 500
OF_WORKSPACE = "accounts"
"""In place of a scope: the accounts of one platform of a workspace. The target is both, with a slash between."""
CHANGE = re.compile("[0-9]{1,18}", re.ASCII)
"""The id of an audit row."""
Target = tuple[LiftedScope, str]
"""A scope and its target, as they are stored."""


@page("/pauses", Role.VIEWER)
async def show_pauses(request: Request, visitor: Visitor) -> Response:
    """List the pauses that concern the visitor's workspaces."""
    return await _render(request, visitor)


@page("/pauses", Role.OPERATOR, "POST")
async def add(request: Request, visitor: Visitor) -> Response:
    """Pause a target. Pausing it again gives it another reason."""
    what, why = str(request.state.form.get("what", "")), str(request.state.form.get("why", "")).strip()
    targets = await _read_targets(request, visitor, *what.partition(":")[::2])
    if not 0 < len(why) <= LONGEST_WHY:
        problem = f"Why has to have 1 to {LONGEST_WHY} characters; it has {len(why)}."
        return await _render(request, visitor, what, why, problem)
    return _lead_back(request, await write(request, _add, visitor.actor, targets, why))


@page("/pauses/undo", Role.OPERATOR, "POST")
async def undo(request: Request, visitor: Visitor) -> Response:
    """Undo pauses of one workspace by the ids of their audit rows."""
    form = request.state.form
    workspace = require_found(parse_id(form.get("of"), "of"))
    visitor.require(workspace, Role.OPERATOR)
    await act_for(request, workspace, undo_pauses, parse_changes(form.getlist("undo")))
    return _lead_back(request)


def parse_changes(texts: Sequence[object]) -> list[int]:
    """Return the ids of audit rows. Raises HTTPException 404 for another text, and for none."""
    if not texts or not all(CHANGE.fullmatch(str(text)) for text in texts):
        raise HTTPException(404)
    return [int(str(text)) for text in texts]


def find_pauses_to_undo(c: Connection, workspace: UUID, audits: Sequence[int]) -> datetime | None:
    """Return until when pauses of a workspace can be undone together; None: not any more, or not at all."""
    found = [find_change(c, workspace, audit) for audit in audits]
    ends = [one.at + UNDO_WITHIN for one in found if one and one.is_last and "why" in one.before]
    until = min(ends, default=None)
    return until if until and len(ends) == len(found) and until > database_now(c) else None


@page("/pauses/end", Role.OPERATOR, "POST")
async def end(request: Request, visitor: Visitor) -> Response:
    """End a pause, or close a breaker. One that has ended already is no error."""
    form = request.state.form
    scope, target = await _read_target(
        request, visitor, str(form.get("scope", "")), str(form.get("target", ""))
    )
    await act(request, lift_and_release, visitor.actor, scope, target)
    return _lead_back(request)


def _lead_back(request: Request, made: Sequence[int] = ()) -> Response:
    """Lead to the page that the form was on; *made*: audit rows of pauses, which it offers to undo."""
    place = choose_next(str(request.state.form.get("next", "")))
    if made and (workspace := parse_id(request.state.form.get("of"), "of")):
        query = urlencode([("of", str(workspace)), *(("undo", str(audit)) for audit in made)])
        place += f"{'&' if '?' in place else '?'}{query}"
    return RedirectResponse(PATH if place == HOME else place, 303)


async def _render(
    request: Request, visitor: Visitor, what: str = "", why: str = "", problem: str = ""
) -> Response:
    pauses = await read(request, _read_page, choose_mine(visitor))
    return render(
        request,
        "pauses.html",
        422 if problem else 200,
        pauses=pauses,
        cap=CAP,
        targets=list(_list_targets(visitor)),
        given={"what": what, "why": why},
        problem=problem,
        longest=LONGEST_WHY,
        may_change=partial(_may_change, visitor),
    )


def choose_mine(visitor: Visitor) -> Collection[UUID] | None:
    """Return the workspaces whose pauses the visitor sees; None: all there are."""
    return None if visitor.has_everywhere(Role.VIEWER) else visitor.workspaces(Role.VIEWER)


def _read_page(c: Connection, mine: Collection[UUID] | None) -> list[Pause]:
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
    return breakers + list_pauses(c, mine, CAP)


def _list_targets(visitor: Visitor) -> Iterator[tuple[str, str]]:
    """Yield what the visitor may pause: the field's value, and its name."""
    for workspace in sorted(visitor.workspaces(Role.OPERATOR), key=lambda one: visitor.names[one]):
        yield f"workspace:{workspace}", visitor.names[workspace]
    if visitor.has_everywhere(Role.OPERATOR):
        for platform in Platform:
            yield f"platform:{platform}", f"{name_platform(platform)} of all clients"
        yield "all:", "Everything"


def _may_change(visitor: Visitor, scope: str, workspace: UUID | None) -> bool:
    if scope in EVERYWHERE:
        return visitor.has_everywhere(Role.OPERATOR)
    return workspace in visitor.workspaces(Role.OPERATOR)


async def _read_targets(request: Request, visitor: Visitor, scope: str, target: str) -> Sequence[Target]:
    """Return what is paused; of a workspace's platform, each account. Raises as `_read_target` does."""
    if scope != OF_WORKSPACE:
        return [await _read_target(request, visitor, scope, target)]
    of, _, name = target.partition("/")
    workspace, platform = parse_id(of, "workspace"), parse_choice(Platform, name, "platform")
    if workspace is None or platform is None:
        raise HTTPException(400, f"The scope {scope} needs a workspace and a platform.")
    visitor.require(workspace, Role.OPERATOR)
    accounts = await read(request, find_accounts, workspace)
    found: list[Target] = [("account", str(one.id)) for one in accounts if one.platform is platform]
    if not found:
        raise HTTPException(404)
    return found


async def _read_target(request: Request, visitor: Visitor, scope: str, target: str) -> Target:
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


def _add(c: Connection, actor: Actor, targets: Sequence[Target], why: str) -> Sequence[int]:
    """Return the ids of the audit rows."""
    # in one order: two at once do not wait for each other in a circle
    made = [pause(c, actor, cast("Scope", scope), target, why) for scope, target in sorted(targets)]
    return [audit for audit in made if audit is not None]
