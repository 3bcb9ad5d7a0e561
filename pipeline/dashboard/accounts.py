"""The page of accounts: their health, the end of their access, the posts that wait; connect one (again), pause some."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from adapters.contract import Platform
from pipeline.accounts.authorize import start_authorization
from pipeline.dashboard.ledger import act, read
from pipeline.dashboard.page import find_client, page, parse_choice, parse_id, require_found
from pipeline.dashboard.pauses import find_pauses_to_undo, parse_changes
from pipeline.dashboard.render import render
from pipeline.dashboard.visitor import Visitor
from pipeline.dashboard.words import ACCOUNTS, PAUSED, quote_platform
from pipeline.domain.account import PLATFORM_NAMES, AccountStatus, Role
from pipeline.store.accounts.health import (
    CAP,
    PAGE,
    AccountHealth,
    Position,
    count_by_status,
    find_workspace_of,
    list_health,
)
from pipeline.store.accounts.oauth_sessions import UserStarter

PATH = "/dashboard/accounts"
MOST_PAUSES = 100
"""Pauses that are undone together."""
_POSITION = re.compile(r"([0-3]),(.*),([a-z]+),([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})", re.DOTALL)


@dataclass(frozen=True, kw_only=True, slots=True)
class Undo:
    """Pauses of one workspace that can be undone together, by their audit rows."""

    workspace: UUID
    audits: Sequence[int]
    until: datetime


@page("/accounts", Role.VIEWER)
async def show_accounts(request: Request, visitor: Visitor) -> Response:
    """List the accounts of the visitor's workspaces, the ones that need an operator first."""
    query = request.query_params
    chosen = find_client(visitor, query.get("workspace"), "workspace")
    workspaces = (chosen,) if chosen else visitor.workspaces(Role.VIEWER)
    filters = {
        "platform": parse_choice(Platform, query.get("platform"), "platform"),
        "needs_person": query.get("needs_person") == "1",
    }
    place = _parse_position(query.get("after"))
    accounts, counts = await read(request, _read_page, workspaces, filters, place)
    given = {name: query[name] for name in ("workspace", "platform", "needs_person") if query.get(name)}
    return render(
        request,
        "accounts.html",
        accounts=accounts[:PAGE],
        counts=counts,
        statuses=AccountStatus,
        words=ACCOUNTS,
        paused=PAUSED,
        quote_platform=quote_platform,
        cap=CAP,
        given=given,
        link=lambda **changes: _link(given, **changes),
        clients={str(one): visitor.names[one] for one in visitor.workspaces(Role.VIEWER)},
        platforms=PLATFORM_NAMES,
        next_page=_link(given, after=_name_place(accounts[PAGE - 1])) if len(accounts) > PAGE else None,
        may_connect=visitor.workspaces(Role.OPERATOR),
        back=_link(given, after=query.get("after")),
        undo=await _find_undo(request, visitor),
    )


async def _find_undo(request: Request, visitor: Visitor) -> Undo | None:
    """Return the pauses that the visitor has just made, while they can be undone."""
    workspace, given = parse_id(request.query_params.get("of"), "of"), request.query_params.getlist("undo")
    if workspace is None or not given or visitor.roles.get(workspace, Role.VIEWER) < Role.OPERATOR:
        return None
    audits = parse_changes(given[:MOST_PAUSES])
    until = await read(request, find_pauses_to_undo, workspace, audits)
    return Undo(workspace=workspace, audits=audits, until=until) if until else None


def _read_page(
    c: Connection, workspaces: Sequence[UUID], filters: Mapping[str, Any], after: Position | None
) -> tuple[list[AccountHealth], Mapping[AccountStatus, int]]:
    found = list_health(c, workspaces, **filters, after=after, limit=PAGE + 1)
    return found, count_by_status(c, workspaces)


def _link(given: Mapping[str, str], **changes: str | None) -> str:
    fields = {name: value for name, value in {**given, **changes}.items() if value}
    return f"{PATH}?{urlencode(fields)}"


def _name_place(one: AccountHealth) -> str:
    return ",".join(map(str, one.position))


def _parse_position(text: str | None) -> Position | None:
    """Return the place that the page before ended at. Raises HTTPException 400."""
    if text is None:
        return None
    found = _POSITION.fullmatch(text)
    if found is None:
        raise HTTPException(400, f"after is no place in this list: {text[:100]!r}.")
    return int(found[1]), found[2], found[3], UUID(found[4])


@page("/accounts/connect", Role.OPERATOR, "POST")
async def connect_account(request: Request, visitor: Visitor) -> Response:
    """Make a link to the platform's consent page, to open here or to send to the account's owner."""
    form = request.state.form
    account, given = parse_id(form.get("account"), "account"), parse_id(form.get("workspace"), "workspace")
    workspace = require_found(await read(request, find_workspace_of, account) if account else given)
    visitor.require(workspace, Role.OPERATOR)
    platform = parse_choice(Platform, form.get("platform"), "platform")
    if platform is None:
        raise HTTPException(400, f"platform has to be one of {', '.join(Platform)}.")
    start = partial(start_authorization, connection=form.get("connection") or None, reconnect=account)
    starter = UserStarter(visitor.user_id)
    started = await act(request, start, visitor.actor, workspace, platform, starter)
    return render(request, "connect.html", started=started, platform=platform, workspace=workspace)
