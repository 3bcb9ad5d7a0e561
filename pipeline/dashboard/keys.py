"""The page of keys: what each may do and what is left of it; make one, which is shown once, and take one back."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from pipeline.actions import keys as actions
from pipeline.dashboard.ledger import get_state, read, write
from pipeline.dashboard.page import InvalidField, find_client, page, parse_id, read_client, require_found
from pipeline.dashboard.render import render_form
from pipeline.dashboard.visitor import Visitor
from pipeline.domain.account import (
    KINDS,
    MAX_AHEAD_DAYS,
    MAX_LEAD_MINUTES,
    MAX_POSTS_PER_DAY,
    MAX_POSTS_PER_MINUTE,
    AccountStatus,
    Role,
    parse_limit,
)
from pipeline.domain.audit import Actor
from pipeline.store.accounts.accounts import AccountRow, find_accounts
from pipeline.store.audit import list_makers
from pipeline.store.auth.keys import Key, OutsideWorkspace, Terms, list_keys

PATH = "/dashboard/settings/keys"
MANAGE = Role.ADMIN
MAX_NAME, MAX_DAYS = 100, 3_650
NUMBERS: Mapping[str, tuple[int, str]] = {
    "posts_per_minute": (MAX_POSTS_PER_MINUTE, "Posts a minute"),
    "posts_per_day": (MAX_POSTS_PER_DAY, "Posts a day (UTC)"),
    "lead_minutes": (MAX_LEAD_MINUTES, "Minutes before a post is due, at least"),
    "ahead_days": (MAX_AHEAD_DAYS, "Days ahead, at most"),
}
"""Limit -> the largest number, and what its field is called."""
_ANSWERS = {"yes": True, "no": False}
Times = Mapping[tuple[str, str], tuple[str, datetime]]


Made = Mapping[str, str]
"""A key that is shown this once, and its name."""


@page("/settings/keys", MANAGE)
async def show_keys(request: Request, visitor: Visitor) -> Response:
    """List the keys of the clients that the visitor administers."""
    return await _render(request, visitor)


@page("/settings/keys", MANAGE, "POST")
async def make(request: Request, visitor: Visitor) -> Response:
    """Make a key and show it, once."""
    form = request.state.form
    try:
        rate = get_state(request).context.settings.api.posts_per_minute
        made = await write(request, _make, visitor.actor, read_client(visitor, form), form, rate)
    except InvalidField as error:
        return await _render(request, visitor, problem=error.args)
    return await _render(request, visitor, made=made)


@page("/settings/keys/take-back", MANAGE, "POST")
async def take_back(request: Request, visitor: Visitor) -> Response:
    """Revoke a key, once the name of its client is typed."""
    form = request.state.form
    public = str(form.get("key", ""))
    found, _ = await read(request, _read, visitor.managed)
    workspace = require_found(next((one.workspace_id for one in found if one.public_id == public), None))
    if str(form.get("name", "")).strip() != visitor.names[workspace].strip():
        return await _render(request, visitor, problem=("name", "This is not the client's name."))
    await write(request, actions.revoke_key, visitor.actor, public)
    return RedirectResponse(PATH, 303)


async def _render(
    request: Request, visitor: Visitor, *, problem: Sequence[str] = (), made: Made | None = None
) -> Response:
    form = getattr(request.state, "form", None) or FormData()
    clients, named = visitor.managed, FormData() if made else form
    only = next(iter(clients)) if len(clients) == 1 else None
    text = named.get("workspace") or request.query_params.get("workspace")
    chosen = find_client(visitor, text, "workspace", MANAGE) or only
    found, makers = await read(request, _read, clients)
    taken = str(form.get("key") or request.query_params.get("take_back", ""))
    return render_form(
        request,
        "keys.html",
        problem,
        keys=sorted(found, key=lambda one: (clients[one.workspace_id].casefold(), one.created_at)),
        makers=makers,
        clients=clients,
        chosen=chosen,
        accounts=await read(request, _list_usable, chosen) if chosen else [],
        made=made,
        taken=next((one for one in found if one.public_id == taken and one.revoked_at is None), None),
        numbers=NUMBERS,
        kinds=KINDS,
        longest=MAX_NAME,
        describe=actions.summarize_limits,
        path=PATH,
    )


def _read(c: Connection, workspaces: Collection[UUID]) -> tuple[list[Key], Times]:
    found = [one for one in list_keys(c) if one.workspace_id in workspaces]
    return found, list_makers(c, "key", [one.public_id for one in found])


def _list_usable(c: Connection, workspace: UUID) -> list[AccountRow]:
    return [one for one in find_accounts(c, workspace) if one.status is not AccountStatus.INACTIVE]


def _make(c: Connection, actor: Actor, workspace: UUID, form: FormData, server_rate: int) -> Made:
    name = str(form.get("key_name", "")).strip()
    if not 1 <= len(name) <= MAX_NAME:
        raise InvalidField("key_name", f"Say what it is for, in 1 to {MAX_NAME} characters.")
    accounts = _read_accounts(form, [one.id for one in _list_usable(c, workspace)])
    terms = _read_terms(form, accounts, server_rate)
    try:
        key, _ = actions.create_key(c, actor, workspace, name, terms)
    except OutsideWorkspace:
        raise HTTPException(404) from None
    return {"key": key, "name": name}


def _read_accounts(form: FormData, usable: Sequence[UUID]) -> list[UUID]:
    """Return the accounts to bind a key to; none: it may use all, also later ones. Raises InvalidField."""
    chosen = [parse_id(one, "account") for one in form.getlist("account")]
    found = [one for one in chosen if one is not None]
    if not found and (form.get("agent") or form.get("listed")):
        raise InvalidField("account", "Choose at least one account.")
    return found if form.get("agent") or set(found) != set(usable) else []


def _read_terms(form: FormData, accounts: Sequence[UUID], server_posts_per_minute: int) -> Terms:
    given: dict[str, Any] = {name: _read_number(form, name, most) for name, (most, _) in NUMBERS.items()}
    answers = ("music_required", "needs_approval", "may_approve")
    given |= {name: _ANSWERS.get(str(form.get(name, ""))) for name in answers}
    if kinds := [one for one in KINDS if one in form.getlist("kind")]:
        given["kinds"] = tuple(kinds)
    days = _read_number(form, "days", MAX_DAYS)
    ends = datetime.now(UTC) + timedelta(days=days) if days else None
    reads, is_bulk, agent = (bool(form.get(name)) for name in ("read_only", "bulk", "agent"))
    terms = Terms(read_only=reads, accounts=accounts, expires_at=ends, bulk=is_bulk)
    chosen = {name: value for name, value in given.items() if value is not None}
    terms = actions.plan_terms(terms, chosen, agent=agent, server_rate=server_posts_per_minute)
    if terms.limits.needs_approval and terms.limits.may_approve:
        raise InvalidField("may_approve", "A key that needs approval approves nothing: choose one of both.")
    return terms


def _read_number(form: FormData, name: str, most: int) -> int | None:
    text = str(form.get(name, "")).strip()
    try:
        return parse_limit(text, most) if text else None
    except ValueError as error:
        raise InvalidField(name, str(error)) from None
