"""OAuth over HTTP: POST /connect/{platform}, the callback of the consent page, and the confirmation of accounts."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Annotated, Any
from urllib.parse import parse_qsl
from uuid import UUID

from fastapi import Depends
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from adapters.contract import Platform
from adapters.post_options import at_most
from pipeline.accounts.account_selection import BROWSER, confirm_accounts, decline_accounts
from pipeline.accounts.authorize import (
    AuthorizationStart,
    decline_authorization,
    finish_authorization,
    start_authorization,
)
from pipeline.accounts.connected_account import CompletedConnection, PendingConfirmation
from pipeline.accounts.deauthorize import deauthorize
from pipeline.accounts.oauth_flow import parse_callback
from pipeline.api.accounts import oauth_pages as pages
from pipeline.api.accounts.routes import AuthorizationLink
from pipeline.api.http.auth import insufficient_scope
from pipeline.api.http.dependencies import Writer
from pipeline.api.http.envelope import (
    HttpRefusal,
    SuccessResponse,
    render_refusal,
    render_unreachable,
    success,
)
from pipeline.api.http.request import read_body
from pipeline.api.http.validation import Body
from pipeline.api.openapi.introduction import CONNECT
from pipeline.api.openapi.operation import (
    REQUEST_ID_HEADER,
    Responses,
    Routes,
    path_parameter,
    query_parameter,
)
from pipeline.api.posts.field_types import EntityId
from pipeline.api.state import get_app_state
from pipeline.domain.account import PLATFORM_NAMES
from pipeline.domain.audit import Actor
from pipeline.stages.post_request import Refusal
from pipeline.store.database import Unreachable

log = logging.getLogger("slipway.api")

MAX_REMOTE_IDS = 100
MAX_FORM = 20_000
"""Bytes of the form that confirms accounts."""


class ConnectBody(Body):
    """The accounts to connect. Every field is optional, and so is the body."""

    connection: str | None = Field(
        None,
        min_length=1,
        max_length=64,
        description="The platform's product, e.g. business, facebook_login.",
    )
    reconnect: EntityId | None = Field(
        None, description="Id of the account to reconnect; no other account is accepted."
    )
    remote_ids: Annotated[list[str], at_most(MAX_REMOTE_IDS)] | None = Field(
        None,
        min_length=1,
        max_length=MAX_REMOTE_IDS,
        description="Connect only the accounts with these ids of the platform, or * for all. Without it, the person "
        "selects on the page of the callback if several are found. They confirm there in any case.",
    )


async def _read_platform(request: Request) -> Platform:
    try:
        return Platform(request.path_params["platform"])
    except ValueError:
        raise HttpRefusal(
            404, "not_found", f"There is no such platform: it is one of {', '.join(Platform)}."
        ) from None


_PLATFORM = path_parameter("platform", {"type": "string", "enum": [*Platform]})
routes = Routes(tag=CONNECT, path="/connect")


@routes.add(
    "POST",
    "/{platform}",
    "The address to open in the person's browser.",
    "account_inactive",
    "not_configured",
    status=201,
    is_body_required=False,
    parameters=[_PLATFORM],
    meanings={
        "insufficient_scope": "the key is read-only, or is restricted to accounts and reconnect is missing",
        "validation_failed": "the platform has no such connection",
        "not_found": "there is no such platform, or no such account to reconnect",
    },
)
async def connect_account(
    call: Writer, platform: Annotated[Platform, Depends(_read_platform)], body: ConnectBody
) -> SuccessResponse[AuthorizationLink]:
    """Start an OAuth flow and return the URL of the consent page, valid for ten minutes and one use."""
    app_state, caller = call.app_state, call.caller
    if caller.accounts is not None and body.reconnect is None:
        raise insufficient_scope(
            "This key is restricted to accounts: it can reconnect those but not add others."
        )
    work = partial(
        start_authorization,
        app_state.context,
        caller.require_actor(),
        caller.workspace_id,
        platform,
        caller.key_id,
        connection=body.connection,
        reconnect=body.reconnect,
        chosen=body.remote_ids,
        within=caller.accounts,
    )
    started: AuthorizationStart = await app_state.connect_bulkhead.run(work, caller.key_id)
    link = AuthorizationLink(url=started.url, expires_in=int(started.lifetime.total_seconds()))
    return success("Send the person to this address", link, code=201)


_PAGES: Responses = {
    status: {
        "description": description,
        "content": {"text/html": {"schema": {"type": "string"}}},
        "headers": REQUEST_ID_HEADER,
    }
    for status, description in (
        (200, "A page: a form to confirm the accounts found, or the connected accounts."),
        (400, "A page: the request is invalid, unknown or expired, or the platform refused the code."),
        (401, "A page: the key in the request is unknown or revoked."),
        (403, "A page: the person declined, a permission is missing, or another key started the flow."),
        (409, "A page: the flow was completed before, found no account, or not the account to reconnect."),
        (500, "A page: a fault of this server."),
        (502, "A page: the platform refused or did not answer."),
        (503, "A page: the database is unreachable, or the server is overloaded."),
    )
}
_SHOWS_PAGE: Mapping[str, Any] = {"response_class": Response, "needs_key": False}


@routes.add(
    "GET",
    "/{platform}/callback",
    _PAGES[200]["description"],
    id="connectCallback",
    meanings={"not_found": "there is no such platform"},
    parameters=[
        _PLATFORM,
        query_parameter("state", {"type": "string"}, required=True),
        query_parameter("code", {"type": "string"}, "Sent by the platform if the person agrees."),
        query_parameter("error", {"type": "string"}, "Sent instead of code, for example access_denied."),
    ],
    responses=_PAGES,
    **_SHOWS_PAGE,
)
async def finish_connect(request: Request) -> Response:
    """Handle the redirect from the consent page. A client that sends a key here must be the one that started."""
    return await _answer_with_page(request, _finish)


@routes.add(
    "POST",
    "/{platform}/choice",
    _PAGES[200]["description"],
    id="connectChoice",
    meanings={"not_found": "there is no such platform"},
    parameters=[_PLATFORM],
    request_body={
        "required": True,
        "description": "The form on the page of the callback.",
        "content": {"application/x-www-form-urlencoded": {"schema": {"type": "object"}}},
    },
    responses={
        **_PAGES,
        408: {**_PAGES[400], "description": "A page: the form did not arrive in time."},
        413: {**_PAGES[400], "description": "A page: the form is too large."},
    },
    **_SHOWS_PAGE,
)
async def choose_accounts(request: Request) -> Response:
    """Handle the form that confirms accounts. A client that sends a key here must be the one that started."""
    return await _answer_with_page(request, _confirm)


# TikTok for Business accepts only redirect addresses that end in a slash
routes.add("GET", "/{platform}/callback/", "", id="connectCallbackSlash", is_documented=False, **_SHOWS_PAGE)(
    finish_connect
)


@routes.add(
    "POST", "/{platform}/deauthorize", "", id="connectDeauthorize", is_documented=False, **_SHOWS_PAGE
)
async def take_deauthorization(request: Request) -> Response:
    """Handle Meta's call when a user removes the app: a form with a signed request."""
    platform, app_state = await _read_platform(request), get_app_state(request)
    body = (await read_body(request, MAX_FORM)).decode("utf-8", "replace")
    actor = app_state.authenticator.locate(Actor(kind="system", name=PLATFORM_NAMES[platform]), request)
    signed = dict(parse_qsl(body)).get("signed_request", "")
    await app_state.connect_bulkhead.run(partial(deauthorize, app_state.context, actor, platform, signed))
    return Response(headers={"Cache-Control": "no-store"})


async def _answer_with_page(
    request: Request,
    work: Callable[[Request, Platform], Awaitable[CompletedConnection | PendingConfirmation]],
) -> Response:
    """Return an HTML page for every outcome: a browser shows it to a user."""
    platform = await _read_platform(request)
    try:
        result = await work(request, platform)
        if isinstance(result, PendingConfirmation):
            action = "../choice" if request.url.path.endswith("/") else "choice"
            is_begun_here = "authorization" in request.headers
            return pages.render_confirmation(platform.value, result, action, is_begun_here=is_begun_here)
        return pages.render_connected(platform.value, result)
    except Refusal as refusal:
        page = pages.render_not_connected(refusal.status, platform.value, refusal.message, refusal.code)
        return _with_headers_of(render_refusal(refusal), page)
    except Unreachable:
        message = "The database is unreachable now; nothing was connected."
        return _with_headers_of(
            render_unreachable(), pages.render_not_connected(503, platform.value, message)
        )
    except Exception:  # the middleware would answer in JSON
        log.exception("handling the redirect from the consent page of %s failed", platform.value)
        message = "An internal error occurred; nothing was connected."
        return pages.render_not_connected(500, platform.value, message)


async def _finish(request: Request, platform: Platform) -> PendingConfirmation:
    app_state = get_app_state(request)
    parameters = parse_callback(request.scope["query_string"].decode("ascii", "replace"))
    starter = await _find_starter(request)
    context, state = app_state.context, parameters.state
    if parameters.code is None:
        decline = partial(decline_authorization, context, platform, state, parameters.error or "", starter)
        raise await app_state.connect_bulkhead.run(decline)
    finish = partial(finish_authorization, context, platform, state, parameters.code, starter)
    return await app_state.connect_bulkhead.run(finish)


async def _confirm(request: Request, platform: Platform) -> CompletedConnection:
    app_state = get_app_state(request)
    body = (await read_body(request, MAX_FORM)).decode("utf-8", "replace")
    pairs = parse_qsl(body, keep_blank_values=True)
    form = dict(pairs)
    try:
        session = UUID(form.get("grant", ""))
        indexes = {int(value) for name, value in pairs if name == "account"}
    except ValueError:
        raise Refusal(400, "invalid_choice", "The form is invalid. Start the connection again.") from None
    starter = await _find_starter(request)
    context, ticket = app_state.context, form.get("ticket", "")
    browser = app_state.authenticator.locate(BROWSER, request)
    if form.get("answer") == "decline":
        decline = partial(decline_accounts, context, platform, session, ticket, starter, browser=browser)
        raise await app_state.connect_bulkhead.run(decline)
    confirm = partial(confirm_accounts, context, platform, session, ticket, indexes, starter, browser=browser)
    return await app_state.connect_bulkhead.run(confirm)


async def _find_starter(request: Request) -> UUID | None:
    """Return the id of the request's key, or None for a browser, which has no key."""
    if "authorization" not in request.headers:
        return None
    return (await get_app_state(request).authenticator.authenticate(request)).key_id


def _with_headers_of(json: Response, page: Response) -> Response:
    """Copy the headers that the JSON response has for this status (Retry-After, WWW-Authenticate) to the page."""
    for name in ("Retry-After", "WWW-Authenticate"):
        if value := json.headers.get(name):
            page.headers[name] = value
    return page
