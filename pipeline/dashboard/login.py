"""Log in and out, and the page of sessions, each with a button that ends it.

A try is counted before its password is checked, so that concurrent tries do not exceed the limit. Unknown logins take
the same steps, as long. No database connection is held while a password is hashed.

In a browser where this login was right before, its own tries count in place of the address's: wrong passwords of others
behind the same address do not keep its user out.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from pipeline.actions.second_factor import WRONG as WRONG_CODE
from pipeline.actions.second_factor import take_code
from pipeline.api.http.middleware import REQUEST_ID, note
from pipeline.dashboard.filter import parse_id_or_none
from pipeline.dashboard.ledger import find_client_address, get_state, read, write
from pipeline.dashboard.page import HOME, LOGIN, open_page, page, read_form, require_found
from pipeline.dashboard.render import render
from pipeline.dashboard.visitor import (
    TOKEN_FIELD,
    CrossSite,
    Visitor,
    clear_token,
    find_visitor,
    is_loopback,
    read_login_token,
    require_own_origin,
    set_login_token,
    set_token,
)
from pipeline.domain.account import MAX_PASSWORD, Role, normalize_login
from pipeline.domain.audit import Actor
from pipeline.domain.time_zone import list_zones
from pipeline.runtime.context import Context
from pipeline.store.audit import record_change
from pipeline.store.auth import sessions as store
from pipeline.store.auth import users
from pipeline.store.auth.second_factors import find_factor
from pipeline.store.vault import VaultError


class MustWait(Exception):
    """This login, or this address, has had its tries: the argument says which of them."""


class WrongPassword(Exception):
    """No user who may log in has this login and password."""


class NeedsCode(Exception):
    """The password is right, and a code is asked for. ``args``: the ticket that its form repeats, what was wrong."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LoginTry:
    """The input of a user, and where it came from."""

    login: str
    password: str
    address: str
    agent: str
    request_id: str | None = None
    browser: str = ""
    """The token that the browser keeps for the form; empty without one."""
    ticket: str = ""
    """From the form that asks for a code; empty with a password."""
    code: str = ""
    is_signed_on: bool = False
    """A provider answers for the user. Nothing is counted: there was nothing to guess."""
    known: AbstractSet[str] = frozenset()
    """Which of its origins have logged in before, from `recognize`."""

    @property
    def origins(self) -> list[str]:
        """Where it comes from: the address, then the browser with this login."""
        return [
            store.name_address(self.address),
            *([store.name_browser(self.browser, self.login)] if self.browser else []),
        ]

    @property
    def origin(self) -> str:
        """The origin that its tries are counted for: the browser if it is known, else the address."""
        first, last = self.origins[0], self.origins[-1]
        return last if last in self.known else first

    @property
    def subjects(self) -> tuple[str, str]:
        """Whose tries are counted; in one order, so that no two tries wait for each other."""
        return self.origin, store.name_login(self.login)


def recognize(c: Connection, given: LoginTry) -> LoginTry:
    """Return the try with its origins that have logged in before."""
    return replace(given, known=store.list_known(c, given.origins))


def log_in(context: Context, given: LoginTry) -> str:
    """Return the token of a new session. Raises MustWait, WrongPassword, NeedsCode."""
    _count(context, given)
    with context.database.once() as c:
        stored = users.read_password(c, given.login)
    if given.ticket:
        is_right = stored is not None and _opens(context, given, stored)
    else:
        typed = given.password[: MAX_PASSWORD + 1]
        is_right = users.verify_password(stored.password_hash if stored else None, typed)
    if stored is None or not is_right:
        raise WrongPassword
    _require_second(context, given, stored)
    is_old = given.password and users.is_outdated(stored.password_hash)
    renewed = users.hash_password(given.password) if is_old else None
    return _start(context, given, stored, renewed)


def pass_sign_on(context: Context, given: LoginTry) -> str:
    """Return the token of a new session of a user who is signed on. Raises WrongPassword, NeedsCode."""
    with context.database.once() as c:
        stored = users.read_password(c, given.login)
    if stored is None:
        raise WrongPassword
    if not context.settings.dashboard.oidc.is_factor:
        _require_second(context, given, stored)
    return _start(context, given, stored, None)


def _count(context: Context, given: LoginTry) -> None:
    """Count a try at the address and at the login. Raises MustWait; then neither is counted."""
    with context.database.begin() as c:
        store.delete_ended(c)
        for subject in given.subjects:
            if not store.count_try(c, subject):
                raise MustWait(subject.partition(" ")[0])


TICKET_LASTS = timedelta(minutes=5)


def _write_ticket(given: LoginTry, stored: users.StoredPassword, until: datetime) -> dict[str, str]:
    """Return what a ticket says: the password was right, in this browser, and has not been changed since."""
    known = hashlib.sha256(f"{given.browser} {stored.password_hash}".encode()).hexdigest()
    return {"password": known, "until": until.isoformat()}


def _opens(context: Context, given: LoginTry, stored: users.StoredPassword) -> bool:
    try:
        found = context.vault.open(given.ticket.encode(), stored.user_id)
        until = datetime.fromisoformat(found["until"])
    except (VaultError, KeyError, ValueError):
        return False
    return until > datetime.now(UTC) and found == _write_ticket(given, stored, until)


def _require_second(context: Context, given: LoginTry, stored: users.StoredPassword) -> None:
    """Take the code of a user who has a second factor. Raises NeedsCode."""
    with context.database.begin() as c:
        factor = find_factor(c, stored.user_id)
        if factor is None or factor.confirmed_at is None:
            return
        if given.ticket and take_code(c, context.vault, stored.user_id, given.code):
            store.take_back_try(c, given.origin)
            return
    if given.ticket:
        raise NeedsCode(given.ticket, WRONG_CODE)
    said = _write_ticket(given, stored, datetime.now(UTC) + TICKET_LASTS)
    raise NeedsCode(context.vault.seal(said, stored.user_id).decode(), "")


def _start(context: Context, given: LoginTry, stored: users.StoredPassword, renewed: str | None) -> str:
    """Start the session, if neither password nor user was changed since they were read. Raises WrongPassword.

    *renewed*: the password's hash with today's parameters, if it has others.
    """
    origin, login = given.subjects
    has_factor = given.is_signed_on and context.settings.dashboard.oidc.is_factor
    with context.database.begin() as c:
        if renewed is not None:
            stored = users.upgrade_hash(c, stored, renewed)
        token = store.start_session(c, stored, given.address, given.agent, has_factor=has_factor)
        if token is None:
            raise WrongPassword
        actor = Actor(
            kind="user",
            name=given.login,
            id=stored.user_id,
            address=given.address,
            request_id=given.request_id,
        )
        record_change(
            c, actor, "start", "session", None, after={"login": given.login, "browser": given.agent}
        )
        if not given.is_signed_on:
            store.take_back_try(c, origin)
            store.forget_tries(c, login)
        store.remember(c, given.origins)
    return token


_OWN_PAGE = re.compile(r"/dashboard/(?![/\\])(?:[A-Za-z0-9_\-.~/?=&+,:@!*]|%[0-9A-Fa-f]{2})*", re.ASCII)
WRONG = "This login and password do not belong together, or the user is disabled."
WAITING = (
    f"There were {store.MAX_TRIES} wrong tries, for this login or from this address. Wait "
    f"{store.WAIT.total_seconds() / 60:.0f} minutes; until then no password is checked."
)
NOT_SECURE = (
    "This page was opened over plain http. A password would cross the network readable: open it with https, or on the "
    "machine that the server runs on."
)

ONLY_SIGN_ON = "Passwords open nothing here: use the button below."


@page("/logout", None, "POST", needs_factor=False)
async def log_out(request: Request, visitor: Visitor) -> Response:
    """End the session."""
    await write(request, end_recorded, visitor.actor, visitor.id, visitor.user_id)
    response = RedirectResponse(LOGIN, 303)
    clear_token(request, response)
    return response


def choose_next(text: str) -> str:
    """Return the page of the dashboard that *text* names, or the first page: never another site's."""
    return text if _OWN_PAGE.fullmatch(text) and ".." not in text else HOME


@open_page("/login")
async def show_login(request: Request) -> Response:
    """Show the form; lead a visitor who is logged in to the page they asked for."""
    place = choose_next(request.query_params.get("next", ""))
    if await find_visitor(request) is not None:
        return RedirectResponse(place, 303)
    return render_form(request, place, "")


@open_page("/login", "POST")
async def submit_login(request: Request) -> Response:
    """Log in, and lead to the page that the visitor asked for."""
    require_own_origin(request)
    form = await read_form(request)
    if not _repeats_token(request, str(form.get(TOKEN_FIELD, ""))):
        raise CrossSite("The page is out of date: reload it and try again. The browser has to keep cookies.")
    if request.headers.get("origin", "").startswith("http://") and not is_loopback(request):
        raise HTTPException(403, NOT_SECURE)
    place, login = choose_next(str(form.get("next", ""))), normalize_login(str(form.get("login", "")))
    password, ticket, code = (str(form.get(name, "")) for name in ("password", "ticket", "code"))
    given = replace(read_try(request), login=login, password=password, ticket=ticket, code=code)
    if get_state(request).context.settings.dashboard.oidc.only and not given.ticket:
        return render_form(request, place, ONLY_SIGN_ON, 403, login)
    try:
        token = await _hash_in_turn(request, await read(request, recognize, given))
    except WrongPassword:
        note(request.scope, code="login_failed")
        return render_form(request, place, WRONG, 401, login)
    except NeedsCode as error:
        ticket, problem = error.args
        if problem:
            note(request.scope, code="login_failed")
        return render_form(request, place, problem, 401 if problem else 200, login, ticket)
    except MustWait as error:
        note(request.scope, code="login_locked", by=error)
        return render_form(request, place, WAITING, 429, login)
    response = RedirectResponse(place, 303)
    set_token(request, response, token)
    return response


def read_try(request: Request) -> LoginTry:
    """Return a try to log in of which only its origin is known yet."""
    return LoginTry(
        login="",
        password="",
        address=find_client_address(request),
        agent=request.headers.get("user-agent", ""),
        request_id=request.scope[REQUEST_ID],
        browser=read_login_token(request),
    )


async def _hash_in_turn(request: Request, given: LoginTry) -> str:
    """Log in once a thread is free: an address or browser that logged in before waits for no unknown one."""
    state = get_state(request)
    logins = state.known_logins if given.known else state.logins
    return await logins.run(lambda: log_in(state.context, given), given.origin)


def _repeats_token(request: Request, given: str) -> bool:
    kept = read_login_token(request)
    return bool(kept) and hmac.compare_digest(kept.encode(), given.encode())


def render_form(
    request: Request, place: str, problem: str, status: int = 200, login: str = "", ticket: str = ""
) -> Response:
    """Return the page of the form, with the browser's token; with a ticket it asks for a code."""
    provider = get_state(request).context.settings.dashboard.oidc
    token = read_login_token(request) or secrets.token_urlsafe(32)
    shown = {"next": place, "problem": problem, "login": login, "login_csrf": token, "ticket": ticket}
    by = provider.name if provider.issuer else ""
    response = render(request, "login.html", status, **shown, sign_on=by, only=provider.only)
    set_login_token(request, response, token)
    return response


PATH = "/dashboard/sessions"


@page("/sessions", Role.VIEWER)
async def show_sessions(request: Request, visitor: Visitor) -> Response:
    """List the open sessions: the visitor's own, for admins of all workspaces everyone's."""
    sessions = await read(request, store.list_sessions, _whose(visitor))
    zones = sorted(list_zones().values())
    return render(request, "sessions.html", sessions=sessions, zones=zones)


@page("/sessions/{session_id}/end", Role.VIEWER, "POST")
async def end(request: Request, visitor: Visitor) -> Response:
    """End a session. One that has ended already is no error."""
    session = require_found(parse_id_or_none(request.path_params["session_id"]))
    await write(request, end_recorded, visitor.actor, session, _whose(visitor))
    return RedirectResponse(PATH, 303)


def _whose(visitor: Visitor) -> UUID | None:
    """Return whose sessions a visitor manages; None: everyone's."""
    return None if visitor.has_everywhere(Role.ADMIN) else visitor.user_id


def end_recorded(c: Connection, actor: Actor, session: UUID, user: UUID | None) -> None:
    """End a session, if it is *user*'s, None: of any user, with its audit row."""
    login = store.end_session(c, session, user)
    if login is not None:
        record_change(c, actor, "end", "session", session, before={"login": login})
