"""POST /connect/{platform}, its callback and its choice: where to send a person, taking them back, and as whom."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated
from urllib.parse import parse_qsl
from uuid import UUID

from pydantic import Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from adapters.contract import Platform
from pipeline.accounts.account_choice import pick
from pipeline.accounts.authorize import Started, decline, finish, start
from pipeline.accounts.connected_account import Choice, Connected
from pipeline.accounts.oauth_flow import WayBack, way_back
from pipeline.api.accounts import connect_page as page
from pipeline.api.http import strict_json as json_reader
from pipeline.api.http.auth import out_of_scope
from pipeline.api.http.body import read_body, require_json
from pipeline.api.http.envelope import HttpRefusal, away, refused, success
from pipeline.api.posts.field_types import Identity, at_most
from pipeline.api.posts.schema import Body, invalid
from pipeline.api.posts.unsafe_text import hostile
from pipeline.api.posts.validation_issue import issue, of_pydantic
from pipeline.api.state import Site, site_of
from pipeline.stages.post_request import Refusal
from pipeline.store.database import Unreachable

log = logging.getLogger("slipway.api")

CHOSEN = 100
"""Remote ids that one grant may name."""
FORM = 20_000
"""Bytes of an answered choice that are read."""


class ConnectBody(Body):
    """What to connect; all of it may be left out, and so may the body."""

    connection: str | None = Field(
        None,
        min_length=1,
        max_length=64,
        description="The platform's product, e.g. business, facebook_login.",
    )
    reconnect: Identity | None = Field(
        None, description="An account to connect again; no other is taken then."
    )
    remote_ids: Annotated[list[str], at_most(CHOSEN)] | None = Field(
        None,
        min_length=1,
        max_length=CHOSEN,
        description="Only these of the accounts that are found, by the platform's own ids, or * for all; "
        "else, where several are found, the person picks on the page they come back to.",
    )


async def begin(request: Request) -> Response:
    """Open a grant: the address to send the person to, good for ten minutes and one use."""
    site = site_of(request)
    caller = await site.keyring.writer(request)
    platform = _platform(request)
    raw = await read_body(request, site.context.settings.api.max_body)
    require_json(request, raw)
    wanted = _wanted(raw)
    if caller.accounts is not None and wanted.reconnect is None:
        raise out_of_scope("This key is bound to certain accounts: it may connect them again, but no others.")
    work = partial(
        start,
        site.context,
        caller.workspace_id,
        platform,
        caller.key_id,
        connection=wanted.connection,
        reconnect=wanted.reconnect,
        chosen=wanted.remote_ids,
        within=caller.accounts,
    )
    opened: Started = await site.connecting.run(work, caller.key_id)
    data = {"url": opened.url, "expires_in": int(opened.lives.total_seconds())}
    return success("Send the person to this address", data, code=201, headers={"Cache-Control": "no-store"})


async def callback(request: Request) -> Response:
    """Take a person back from the consent page. A client that shows its key here must be the one that began."""
    return await _page(request, _finished)


async def choose(request: Request) -> Response:
    """Take the answer to which accounts are meant; a key that is shown must be the one that began."""
    return await _page(request, _picked)


async def _page(
    request: Request, work: Callable[[Request, Platform], Awaitable[list[Connected] | Choice]]
) -> Response:
    """Whatever comes of it, a person reads a page."""
    platform = _platform(request)
    try:
        found = await work(request, platform)
        if isinstance(found, Choice):
            nested = request.url.path.endswith("/")
            return page.choice(platform.value, found, "../choice" if nested else "choice")
        return page.connected(platform.value, found)
    except Refusal as refusal:
        return _with_headers_of(
            refused(refusal), page.not_connected(refusal.status, platform.value, refusal.message)
        )
    except Unreachable:
        said = "Our database cannot be reached at the moment; nothing was connected."
        return _with_headers_of(away(), page.not_connected(503, platform.value, said))
    except Exception:  # the edge would answer a person in JSON
        log.exception("a person came back from %s and could not be taken in", platform.value)
        return page.not_connected(500, platform.value, "Something went wrong here; nothing was connected.")


async def _finished(request: Request, platform: Platform) -> list[Connected] | Choice:
    site = site_of(request)
    back = way_back(request.scope["query_string"].decode("ascii", "replace"))
    work = partial(_finish, site, platform, back, await _starter(request))
    return await site.connecting.run(work)


async def _picked(request: Request, platform: Platform) -> list[Connected]:
    site = site_of(request)
    given = parse_qsl((await read_body(request, FORM)).decode("utf-8", "replace"), keep_blank_values=True)
    told = dict(given)
    try:
        grant = UUID(told.get("grant", ""))
        places = {int(value) for name, value in given if name == "pick"}
    except ValueError:
        raise Refusal(400, "invalid_choice", "This answer cannot be read. Start connecting again.") from None
    starter = await _starter(request)
    work = partial(pick, site.context, platform, grant, told.get("ticket", ""), places, starter)
    return await site.connecting.run(work)


async def _starter(request: Request) -> UUID | None:
    """None: a browser, which has no key."""
    if "authorization" not in request.headers:
        return None
    return (await site_of(request).keyring.caller(request)).key_id


def _finish(site: Site, platform: Platform, back: WayBack, starter: UUID | None) -> list[Connected] | Choice:
    if back.code is None:
        raise decline(site.context, platform, back.state, back.error or "", starter)
    return finish(site.context, platform, back.state, back.code, starter)


def _with_headers_of(plain: Response, shown: Response) -> Response:
    """The headers that the JSON answer would have had (Retry-After, WWW-Authenticate), on the page."""
    for name in ("Retry-After", "WWW-Authenticate"):
        if value := plain.headers.get(name):
            shown.headers[name] = value
    return shown


def _platform(request: Request) -> Platform:
    try:
        return Platform(request.path_params["platform"])
    except ValueError:
        raise HttpRefusal(
            404, "not_found", f"There is no such platform: it is one of {', '.join(Platform)}."
        ) from None


def _wanted(raw: bytes) -> ConnectBody:
    if not raw:
        return ConnectBody()
    try:
        body = json_reader.read(raw)
    except json_reader.InvalidJson as error:
        raise HttpRefusal(400, "invalid_json", str(error)) from None
    if not isinstance(body, dict):
        raise invalid([issue((), "The body must be a JSON object.", "model_type")])
    if found := hostile(body):
        raise invalid(found)
    try:
        return ConnectBody.model_validate(body)
    except ValidationError as error:
        issues = of_pydantic(error.errors(include_url=False), {}, lambda _: ConnectBody.model_fields)
        raise invalid(issues) from None
