"""Serves single sign-on: redirects to the page of the OpenID provider, and logs in the user who comes back.

Both routes are open, and only lead on: what comes back is taken in the browser that began it (`actions.sign_on`).
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from functools import partial

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from pipeline.actions import sign_on as actions
from pipeline.api.http.middleware import note
from pipeline.dashboard.ledger import DashboardState, find_client_address, get_state
from pipeline.dashboard.login import (
    NeedsCode,
    WrongPassword,
    choose_next,
    pass_sign_on,
    read_try,
    render_form,
)
from pipeline.dashboard.page import HOME, open_page
from pipeline.dashboard.visitor import read_login_token, read_sign_on, set_login_token, set_sign_on, set_token
from pipeline.domain.audit import Actor

MAX_PLACE = 1000
"""Characters of the page that was asked for: a cookie has to hold it, sealed."""


@open_page("/sign-on")
async def begin(request: Request) -> Response:
    """Lead to the provider's page; its way back is good for this browser only."""
    state = _require_provider(request)
    place = choose_next(request.query_params.get("next", ""))
    work = partial(actions.begin_sign_on, state.context, place if len(place) <= MAX_PLACE else HOME)
    try:
        address, sealed = await state.sign_ons.run(work, find_client_address(request))
    except actions.ProviderDown as error:
        return _refuse(request, place, error)
    response = RedirectResponse(address, 303)
    set_sign_on(request, response, sealed, int(actions.LASTS.total_seconds()))
    # the form that may ask for a code afterwards is good in this browser only
    set_login_token(request, response, read_login_token(request) or secrets.token_urlsafe(32))
    return response


@open_page("/sign-on/callback")
async def finish(request: Request) -> Response:
    """Log in the user whom the provider signed on, and lead to the page that was asked for."""
    state, given = _require_provider(request), read_try(request)
    kept = actions.open_sign_on(state.context, read_sign_on(request))
    place = kept.get("place", HOME)
    actor = Actor(kind="user", name="", address=given.address, request_id=given.request_id)
    find = partial(actions.finish_sign_on, state.context, actor, kept, request.url.query)
    try:
        given = replace(given, is_signed_on=True, login=await state.sign_ons.run(find, given.address))
        token = await state.sign_ons.run(partial(pass_sign_on, state.context, given), given.address)
    except actions.SignOnRefused as error:
        response = _refuse(request, place, error)
    except WrongPassword:  # the user was shut out, or got a password, in this second
        response = _refuse(request, place, actions.SignOnRefused(actions.DISABLED))
    except NeedsCode as error:
        response = render_form(request, place, "", 200, given.login, error.args[0])
    else:
        response = RedirectResponse(place, 303)
        set_token(request, response, token)
    set_sign_on(request, response, "", 0)
    return response


def _require_provider(request: Request) -> DashboardState:
    """Return the dashboard's state. Raises HTTPException 404 where no provider is set."""
    state = get_state(request)
    if not state.context.settings.dashboard.oidc.issuer:
        raise HTTPException(404)
    return state


def _refuse(request: Request, place: str, error: actions.SignOnRefused) -> Response:
    """Show the form for logging in with the reason, and say it to the log as of a wrong password."""
    note(request.scope, code="login_failed", by="sign-on")
    name = get_state(request).context.settings.dashboard.oidc.name
    return render_form(request, place, error.write(name), error.status)
