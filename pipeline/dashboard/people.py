"""The page of people: who may do what for which client; invite a colleague, whose password is shown once.

An admin of one client gives roles there; who is known to other clients too is reset or shut out by admins of all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Connection
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from pipeline.actions import people as actions
from pipeline.dashboard.ledger import act, get_state, read
from pipeline.dashboard.login import PATH as SIGN_INS
from pipeline.dashboard.page import InvalidField, page, parse_id, read_place
from pipeline.dashboard.render import render
from pipeline.dashboard.visitor import Visitor
from pipeline.domain.account import Role, UnusableLogin, require_login
from pipeline.domain.audit import Actor
from pipeline.runtime.context import Context
from pipeline.store.auth.users import LoginTaken, User, generate_password, hash_password, list_users

PATH = "/dashboard/settings/people"
MANAGE = Role.ADMIN
Change = Callable[..., None]
NONE = "none"
"""In place of a role."""
ROLES: Mapping[str, str] = {
    "viewer": "sees",
    "author": "writes and approves",
    "operator": "pauses, connects",
    "admin": "gives keys, roles",
}


class NewPassword(NamedTuple):
    """A password that is shown this once."""

    login: str
    password: str


@page(Role.VIEWER)
async def show_settings(request: Request, visitor: Visitor) -> Response:  # noqa: ARG001  as all pages
    """Lead to the first of the settings that the visitor may see."""
    return RedirectResponse(PATH if visitor.is_admin else SIGN_INS, 303)


@page(MANAGE)
async def show_people(request: Request, visitor: Visitor) -> Response:
    """List the people who have a role where the visitor is an admin; for admins of all clients everybody."""
    return await _render(request, visitor)


@page(MANAGE)
async def invite(request: Request, visitor: Visitor) -> Response:
    """Add a user with one role, and show the generated password once."""
    form = request.state.form
    try:
        workspace, role = read_place(visitor, form), _read_role(form)
        made, stored = await _generate(request, require_login(str(form.get("login", ""))))
        await _run(request, visitor, _add, made.login, stored, workspace, role)
    except InvalidField as error:
        return await _render(request, visitor, problem=error.args)
    except (UnusableLogin, LoginTaken) as error:
        return await _render(request, visitor, problem=("login", str(error)))
    return await _render(request, visitor, made=made)


@page(MANAGE)
async def change_role(request: Request, visitor: Visitor) -> Response:
    """Give a person another role for a client, or none."""
    user, form = await _find_user(request, visitor), request.state.form
    role = None if form.get("role") == NONE else _read_role(form)
    return await _change(request, visitor, actions.grant, user.id, read_place(visitor, form), role)


@page(MANAGE)
async def disable(request: Request, visitor: Visitor) -> Response:
    """Shut a person out, or let them in again."""
    user = await _find_user(request, visitor, everywhere=True)
    is_disabled = request.state.form.get("verb") != "enable"
    return await _change(request, visitor, partial(actions.set_disabled, disabled=is_disabled), user.id)


@page(MANAGE)
async def reset(request: Request, visitor: Visitor) -> Response:
    """Give a person a generated password, and show it once."""
    user = await _find_user(request, visitor, everywhere=True)
    made, stored = await _generate(request, user.login)
    await _run(request, visitor, actions.reset, user.id, user.login, stored)
    return await _render(request, visitor, made=made)


async def _change(request: Request, visitor: Visitor, change: Change, *given: object) -> Response:
    try:
        await _run(request, visitor, change, *given)
    except actions.LastAdmin as error:
        return await _render(request, visitor, problem=("last", str(error)))
    return RedirectResponse(PATH, 303)


async def _run(request: Request, visitor: Visitor, change: Change, *given: object) -> None:
    def run(context: Context) -> None:
        with context.database.begin() as c:
            change(c, visitor.actor, *given)

    await act(request, run)


async def _render(
    request: Request, visitor: Visitor, *, problem: Sequence[str] = (), made: NewPassword | None = None
) -> Response:
    mine = {one: visitor.names[one] for one in visitor.workspaces(MANAGE)}
    field, sentence = problem or ("", "")
    given = FormData() if made else getattr(request.state, "form", FormData())
    return render(
        request,
        visitor,
        "people.html",
        (409 if field == "last" else 422) if problem else 200,
        people=await read(request, _list_visible, visitor),
        clients={str(one): name for one, name in mine.items()},
        roles=ROLES,
        given=given,
        problems={field: sentence},
        made=made,
        path=PATH,
    )


def _list_visible(c: Connection, visitor: Visitor) -> list[User]:
    found, mine = list_users(c), frozenset(visitor.workspaces(MANAGE))
    return found if visitor.has_everywhere(MANAGE) else [one for one in found if mine & one.roles.keys()]


async def _find_user(request: Request, visitor: Visitor, *, everywhere: bool = False) -> User:
    """Return the user of the form. Raises Forbidden, and HTTPException 404 for one whom the visitor does not see."""
    if everywhere:
        visitor.require_all()
    wanted = parse_id(request.state.form.get("user"), "user")
    found = next((one for one in await read(request, _list_visible, visitor) if one.id == wanted), None)
    if found is None:
        raise HTTPException(404)
    return found


def _read_role(form: FormData) -> Role:
    if form.get("role") not in ROLES:
        raise HTTPException(400, f"role has to be one of {', '.join(ROLES)}.")
    return Role(form["role"])


async def _generate(request: Request, login: str) -> tuple[NewPassword, str]:
    """Return a new password and its hash, made where logins are checked: each takes 64 MiB."""
    password = generate_password()
    stored = await get_state(request).known_logins.run(lambda: hash_password(password), login)
    return NewPassword(login=login, password=password), stored


def _add(c: Connection, actor: Actor, login: str, stored: str, workspace: UUID | None, role: Role) -> None:
    actions.grant(c, actor, actions.add_user(c, actor, login, stored), workspace, role)


ROUTES = (
    Route("/settings", show_settings),
    Route("/settings/people", show_people),
    Route("/settings/people", invite, methods=["POST"]),
    Route("/settings/people/role", change_role, methods=["POST"]),
    Route("/settings/people/disable", disable, methods=["POST"]),
    Route("/settings/people/reset", reset, methods=["POST"]),
)
