"""The page of people: who may do what for which client; invite a colleague, whose password is shown once.

An admin of one client gives roles there; who is known to other clients too is reset or shut out by admins of all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from uuid import UUID

from sqlalchemy import Connection
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from pipeline.actions import people as actions
from pipeline.dashboard.ledger import get_state, read, write
from pipeline.dashboard.login import PATH as SIGN_INS
from pipeline.dashboard.page import InvalidField, page, parse_id, read_place, require_found
from pipeline.dashboard.render import render_form
from pipeline.dashboard.visitor import Visitor
from pipeline.domain.account import Role, UnusableLogin, require_login
from pipeline.domain.audit import Actor
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


Made = Mapping[str, str]
"""A login and its password, which is shown this once."""


@page("/settings", Role.VIEWER)
async def show_settings(request: Request, visitor: Visitor) -> Response:  # noqa: ARG001  as all pages
    """Lead to the first of the settings that the visitor may see."""
    return RedirectResponse(PATH if visitor.is_admin else SIGN_INS, 303)


@page("/settings/people", MANAGE)
async def show_people(request: Request, visitor: Visitor) -> Response:
    """List the people who have a role where the visitor is an admin; for admins of all clients everybody."""
    return await _render(request, visitor)


@page("/settings/people", MANAGE, "POST")
async def invite(request: Request, visitor: Visitor) -> Response:
    """Add a user with one role, and show the generated password once."""
    form = request.state.form
    try:
        workspace, role = read_place(visitor, form), _read_role(form)
        made, stored = await _generate(request, require_login(str(form.get("login", ""))))
        await write(request, _add, visitor.actor, made["login"], stored, workspace, role)
    except InvalidField as error:
        return await _render(request, visitor, problem=error.args)
    except (UnusableLogin, LoginTaken) as error:
        return await _render(request, visitor, problem=("login", str(error)))
    return await _render(request, visitor, made=made)


@page("/settings/people/role", MANAGE, "POST")
async def change_role(request: Request, visitor: Visitor) -> Response:
    """Give a person another role for a client, or none."""
    user, form = await _find_user(request, visitor), request.state.form
    role = None if form.get("role") == NONE else _read_role(form)
    return await _change(request, visitor, actions.grant, user.id, read_place(visitor, form), role)


@page("/settings/people/disable", MANAGE, "POST")
async def disable(request: Request, visitor: Visitor) -> Response:
    """Shut a person out, or let them in again."""
    user = await _find_user(request, visitor, everywhere=True)
    is_disabled = request.state.form.get("verb") != "enable"
    return await _change(request, visitor, partial(actions.set_disabled, disabled=is_disabled), user.id)


@page("/settings/people/reset", MANAGE, "POST")
async def reset(request: Request, visitor: Visitor) -> Response:
    """Give a person a generated password, and show it once."""
    user = await _find_user(request, visitor, everywhere=True)
    made, stored = await _generate(request, user.login)
    await write(request, actions.reset, visitor.actor, user.id, user.login, stored)
    return await _render(request, visitor, made=made)


async def _change(request: Request, visitor: Visitor, change: Change, *given: object) -> Response:
    try:
        await write(request, change, visitor.actor, *given)
    except actions.LastAdmin as error:
        response = await _render(request, visitor, problem=("last", str(error)))
        response.status_code = 409
        return response
    return RedirectResponse(PATH, 303)


async def _render(
    request: Request, visitor: Visitor, *, problem: Sequence[str] = (), made: Made | None = None
) -> Response:
    people = await read(request, _list_visible, visitor)
    clients = {str(one): name for one, name in visitor.managed.items()}
    own = {"people": people, "clients": clients, "roles": ROLES, "made": made, "path": PATH}
    return render_form(request, "people.html", problem, **own)


def _list_visible(c: Connection, visitor: Visitor) -> list[User]:
    found, mine = list_users(c), visitor.managed.keys()
    return found if visitor.manages_all else [one for one in found if mine & one.roles.keys()]


async def _find_user(request: Request, visitor: Visitor, *, everywhere: bool = False) -> User:
    """Return the user of the form. Raises Forbidden, and HTTPException 404 for one whom the visitor does not see."""
    if everywhere:
        visitor.require_all()
    wanted = parse_id(request.state.form.get("user"), "user")
    people = await read(request, _list_visible, visitor)
    return require_found(next((one for one in people if one.id == wanted), None))


def _read_role(form: FormData) -> Role:
    if form.get("role") not in ROLES:
        raise HTTPException(400, f"role has to be one of {', '.join(ROLES)}.")
    return Role(form["role"])


async def _generate(request: Request, login: str) -> tuple[Made, str]:
    """Return a new password and its hash, made where logins are checked: each takes 64 MiB."""
    password = generate_password()
    stored = await get_state(request).known_logins.run(lambda: hash_password(password), login)
    return {"login": login, "password": password}, stored


def _add(c: Connection, actor: Actor, login: str, stored: str, workspace: UUID | None, role: Role) -> None:
    actions.grant(c, actor, actions.add_user(c, actor, login, stored), workspace, role)
