"""The page of an account's posting times: its week, drawn and dragged, and the fields that are saved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from pipeline.accounts.posting_times import change_posting_times
from pipeline.dashboard.filter import parse_id_or_none
from pipeline.dashboard.ledger import read, read_own_caller, write
from pipeline.dashboard.page import page, require_found
from pipeline.dashboard.render import render
from pipeline.dashboard.visitor import Visitor
from pipeline.domain.account import Role
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
from pipeline.store.accounts.health import find_workspace_of

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
    """Save the week, or show beside each field what is wrong with it."""
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
