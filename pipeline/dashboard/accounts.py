"""The pages of accounts: their health, the end of their access, the posts that wait; connect one (again), pause some.

Also the page of an account's posting times: its week, drawn and dragged, and the fields that are saved.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from sqlalchemy import Connection
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from adapters.contract import Platform
from pipeline.accounts.authorize import start_authorization
from pipeline.accounts.posting_times import change_posting_times
from pipeline.dashboard.filter import parse_id_or_none
from pipeline.dashboard.ledger import act, read, read_own_caller, write
from pipeline.dashboard.page import find_client, page, parse_choice, parse_id, require_found
from pipeline.dashboard.pauses import find_pauses_to_undo, parse_changes
from pipeline.dashboard.render import render
from pipeline.dashboard.visitor import Visitor
from pipeline.dashboard.words import ACCOUNTS, PAUSED, quote_platform
from pipeline.domain.account import PLATFORM_NAMES, AccountStatus, Role
from pipeline.domain.audit import Actor
from pipeline.domain.posting_times import (
    DAYS,
    LONGEST_GAP,
    MOST_A_DAY,
    InvalidPostingTimes,
    PostingTimes,
    sort_times,
)
from pipeline.domain.time_zone import UnknownZone, find_zone
from pipeline.store.accounts.accounts import AccountRow, find_accounts
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


async def _find_undo(request: Request, visitor: Visitor) -> dict[str, Any] | None:
    """Return the pauses of one client that the visitor has just made, by audit rows, while they can be undone."""
    workspace, given = parse_id(request.query_params.get("of"), "of"), request.query_params.getlist("undo")
    if workspace is None or not given or visitor.roles.get(workspace, Role.VIEWER) < Role.OPERATOR:
        return None
    audits = parse_changes(given[:MOST_PAUSES])
    until = await read(request, find_pauses_to_undo, workspace, audits)
    return {"workspace": workspace, "audits": audits, "until": until} if until else None


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


# --- posting times ---------------------------------------------------------------------------------------------------


CHANGE = Role.OPERATOR
NUMBERS: Mapping[str, tuple[int, int]] = {
    "most_a_day": (1, MOST_A_DAY),
    "least_gap_minutes": (0, LONGEST_GAP // timedelta(minutes=1)),
}
"""Field -> the least and the largest number that it takes."""


@dataclass(kw_only=True, slots=True)
class TimesForm:
    """The fields as they are shown, and what is wrong with them, by name."""

    values: dict[str, str]
    changes: dict[str, Any] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)


@page("/accounts/{account_id}/times", Role.VIEWER)
async def show_times(request: Request, visitor: Visitor) -> Response:
    """Show the week of an account."""
    account, times = await _find(request, visitor)
    return _render(request, visitor, account, TimesForm(values=_write(times)))


@page("/accounts/{account_id}/times", CHANGE, "POST")
async def change_times(request: Request, visitor: Visitor) -> Response:
    """Save the posting times of a week, or show the refusals beside their fields."""
    account, _ = await _find(request, visitor)
    visitor.require(account.workspace_id, CHANGE)
    form = read_times(request.state.form)
    if form.problems:
        return _render(request, visitor, account, form, 400)
    await write(request, _change, visitor.actor, account, form.changes)
    return RedirectResponse(f"{request.url.path}?did=save", 303)


async def _find(request: Request, visitor: Visitor) -> tuple[AccountRow, PostingTimes]:
    """Return the account of the path and its times. Raises HTTPException 404 unless the visitor may see it."""
    identity = require_found(parse_id_or_none(request.path_params["account_id"]))
    workspace = require_found(await read(request, find_workspace_of, identity))
    visitor.require(workspace, Role.VIEWER)
    return await read(request, _read, visitor.actor, workspace, identity)


def _read(c: Connection, actor: Actor, workspace: UUID, identity: UUID) -> tuple[AccountRow, PostingTimes]:
    [account] = find_accounts(c, workspace, [identity])
    zone = read_own_caller(c, actor, workspace).time_zone
    return account, PostingTimes.from_dict(account.posting_times, zone)


def _write(times: PostingTimes) -> dict[str, str]:
    stored = times.to_dict()
    numbers = {name: "" if stored[name] is None else str(stored[name]) for name in NUMBERS}
    return {
        "time_zone": stored["time_zone"],
        **numbers,
        **{day: " ".join(some) for day, some in stored["times"].items()},
    }


def read_times(given: FormData) -> TimesForm:
    """Return the fields of a form, each checked."""
    names = ("time_zone", *NUMBERS, *DAYS)
    form = TimesForm(values={name: str(given.get(name, "")).strip()[:500] for name in names})
    week = {}
    for day in DAYS:
        try:
            week[day] = sort_times(day.capitalize(), form.values[day].split())
        except InvalidPostingTimes as problem:
            form.problems[day] = str(problem)
    try:
        zone = find_zone(form.values["time_zone"]).key
    except UnknownZone:
        zone, name = "", form.values["time_zone"][:64]
        form.problems["time_zone"] = f"{name!r} is no time zone, such as Europe/Berlin."
    form.changes = {"times": week, "time_zone": zone}
    for name, (least, most) in NUMBERS.items():
        _read_number(form, name, least, most)
    return form


def _read_number(form: TimesForm, name: str, least: int, most: int) -> None:
    text = form.values[name]
    if not text:
        form.changes[name] = None
    elif text.isascii() and text.isdecimal() and least <= int(text[:9]) <= most:
        form.changes[name] = int(text)
    else:
        form.problems[name] = f"Give a number from {least} to {most}, not {text[:20]!r}."


def _change(c: Connection, actor: Actor, account: AccountRow, changes: Mapping[str, Any]) -> None:
    zone = read_own_caller(c, actor, account.workspace_id).time_zone
    change_posting_times(c, actor, account.id, account.workspace_id, zone, changes)


def _render(
    request: Request, visitor: Visitor, account: AccountRow, form: TimesForm, status: int = 200
) -> Response:
    return render(
        request,
        "posting_times.html",
        status,
        account=account,
        form=form,
        days=DAYS,
        numbers=NUMBERS,
        may_change=visitor.roles[account.workspace_id] >= CHANGE,
        is_saved=request.query_params.get("did") == "save" and not form.problems,
    )
