"""Log in and out."""

from __future__ import annotations

import hmac
import re
import secrets

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from pipeline.actions.log_in import LoginTry, MustWait, WrongPassword, log_in, recognize
from pipeline.api.http.middleware import REQUEST_ID, note
from pipeline.dashboard import session_cookie
from pipeline.dashboard.cross_site import TOKEN_FIELD, CrossSite, require_own_origin
from pipeline.dashboard.ledger import act, find_client_address, get_state, read
from pipeline.dashboard.page import HOME, LOGIN, answer_errors, page, read_form
from pipeline.dashboard.render import render
from pipeline.dashboard.sessions import end_recorded
from pipeline.dashboard.visitor import Visitor, find_visitor
from pipeline.domain.account import normalize_login
from pipeline.store.auth.login_tries import MAX_TRIES, WAIT

_OWN_PAGE = re.compile(r"/dashboard/(?![/\\])(?:[A-Za-z0-9_\-.~/?=&+,:@!*]|%[0-9A-Fa-f]{2})*", re.ASCII)
WRONG = "This login and password do not belong together, or the user is disabled."
WAITING = (
    f"There were {MAX_TRIES} wrong tries, for this login or from this address. Wait "
    f"{WAIT.total_seconds() / 60:.0f} minutes; until then no password is checked."
)
NOT_SECURE = (
    "This page was opened over plain http. A password would cross the network readable: open it with https, or on the "
    "machine that the server runs on."
)


async def show_login(request: Request) -> Response:
    """Show the form; lead a visitor who is logged in to where they wanted to go."""
    return await answer_errors(request, lambda: _show(request))


async def submit_login(request: Request) -> Response:
    """Log in, and lead to where the visitor wanted to go."""
    return await answer_errors(request, lambda: _submit(request))


@page(None)
async def log_out(request: Request, visitor: Visitor) -> Response:
    """End the session."""
    await act(request, end_recorded, visitor.actor, visitor.session_id, visitor.user_id)
    response = RedirectResponse(LOGIN, 303)
    session_cookie.clear_token(request, response)
    return response


def choose_next(text: str) -> str:
    """Return the page of the dashboard that *text* names, or the first page: never another site's."""
    return text if _OWN_PAGE.fullmatch(text) and ".." not in text else HOME


async def _show(request: Request) -> Response:
    place = choose_next(request.query_params.get("next", ""))
    if await find_visitor(request) is not None:
        return RedirectResponse(place, 303)
    return _render_form(request, place, "")


async def _submit(request: Request) -> Response:
    require_own_origin(request)
    form = await read_form(request)
    if not _repeats_token(request, str(form.get(TOKEN_FIELD, ""))):
        raise CrossSite("The page is out of date: reload it and try again. The browser has to keep cookies.")
    if request.headers.get("origin", "").startswith("http://") and not session_cookie.is_loopback(request):
        raise HTTPException(403, NOT_SECURE)
    place, login = choose_next(str(form.get("next", ""))), normalize_login(str(form.get("login", "")))
    given = LoginTry(
        login=login,
        password=str(form.get("password", "")),
        address=find_client_address(request),
        agent=request.headers.get("user-agent", ""),
        request_id=request.scope[REQUEST_ID],
        browser=session_cookie.read_login_token(request),
    )
    try:
        token = await _hash_in_turn(request, await read(request, recognize, given))
    except WrongPassword:
        note(request.scope, code="login_failed")
        return _render_form(request, place, WRONG, 401, login)
    except MustWait as error:
        note(request.scope, code="login_locked", by=error)
        return _render_form(request, place, WAITING, 429, login)
    response = RedirectResponse(place, 303)
    session_cookie.set_token(request, response, token)
    return response


async def _hash_in_turn(request: Request, given: LoginTry) -> str:
    """Log in once a thread is free: an address or browser that logged in before waits for no unknown one."""
    state = get_state(request)
    logins = state.known_logins if given.known else state.logins
    return await logins.run(lambda: log_in(state.context, given), given.origin)


def _repeats_token(request: Request, given: str) -> bool:
    kept = session_cookie.read_login_token(request)
    return bool(kept) and hmac.compare_digest(kept.encode(), given.encode())


def _render_form(request: Request, place: str, problem: str, status: int = 200, login: str = "") -> Response:
    token = session_cookie.read_login_token(request) or secrets.token_urlsafe(32)
    response = render(
        request, None, "login.html", status, next=place, problem=problem, login=login, login_csrf=token
    )
    session_cookie.set_login_token(request, response, token)
    return response


ROUTES = (
    Route("/login", show_login),
    Route("/login", submit_login, methods=["POST"]),
    Route("/logout", log_out, methods=["POST"]),
)
