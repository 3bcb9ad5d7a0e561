"""The checks that each page passes before its handler runs: session, role, origin, token, form; and errors as pages."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from enum import StrEnum
from functools import wraps
from typing import TypeVar
from urllib.parse import parse_qsl, quote
from uuid import UUID

from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from pipeline.api.http.request import read_body
from pipeline.dashboard.ledger import get_state
from pipeline.dashboard.render import render_error
from pipeline.dashboard.visitor import (
    SAFE_METHODS,
    Forbidden,
    Visitor,
    find_visitor,
    require_own_origin,
    require_token,
)
from pipeline.domain.account import Role

log = logging.getLogger("slipway.dashboard")

MAX_FORM = 256_000
"""Bytes of a form: room for the ids of some thousand posts."""
MAX_FIELDS = 5000
HOME, LOGIN = "/dashboard/", "/dashboard/login"
SECOND_FACTOR = "/dashboard/settings/second-factor"
SEPARATOR = "~"
"""Between the parts of a place in an address."""
ALL = "all"
"""In place of a client: all of them."""
Endpoint = Callable[[Request], Awaitable[Response]]
Handler = Callable[[Request, Visitor], Awaitable[Response]]
ROUTES: list[Route] = []
"""Of all pages whose modules are imported."""
REQUIRED_ROLES: dict[Endpoint, Role | None] = {}
"""Handlers of pages -> the role they need; None: a session is enough."""


class InvalidField(ValueError):
    """A field of a form breaks its rule. ``args``: the field, and a sentence for its author."""


def page(
    path: str, role: Role | None, *methods: str, reads_form: bool = True, needs_factor: bool = True
) -> Callable[[Handler], Endpoint]:
    """Make a handler ``(request, visitor)`` the page of a path below ``/dashboard``; without *methods* it is read.

    It is for visitors who have *role* in some workspace; None: for all.
    The handler checks the role in the workspace it acts on. It finds the fields of a form in ``request.state.form``.
    *reads_form* False: the body is a file, which the handler reads, and the token stands in the header.
    *needs_factor* False: it is there also for who has to turn a second factor on first.
    """

    def decorate(handler: Handler) -> Endpoint:
        @open_page(path, *methods)
        @wraps(handler)
        async def serve(request: Request) -> Response:
            return await _serve(request, handler, role, reads_form=reads_form, needs_factor=needs_factor)

        REQUIRED_ROLES[serve] = role
        return serve

    return decorate


def open_page(path: str, *methods: str) -> Callable[[Endpoint], Endpoint]:
    """Make a handler ``(request)`` a page that needs no session. An exception becomes the page for it."""

    def decorate(handler: Endpoint) -> Endpoint:
        @wraps(handler)
        async def serve(request: Request) -> Response:
            try:
                return await handler(request)
            except Exception as error:
                response = render_error(request, error)
                if response.status_code == 500:  # noqa: PLR2004  an HTTP status
                    log.exception("%s %r failed", request.method, request.url.path)
                return response

        ROUTES.append(Route(path, serve, methods=methods or ("GET",)))
        return serve

    return decorate


async def read_form(request: Request) -> FormData:
    """Return the fields of a form. Raises HTTPException 400, and Refusal 413 or 408."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await read_body(request, MAX_FORM)
    if body and kind != "application/x-www-form-urlencoded":
        raise HTTPException(415, "The form has to be sent as application/x-www-form-urlencoded.")
    try:
        fields = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:  # no UTF-8, or too many fields
        raise HTTPException(400, "The form cannot be read.") from None
    _refuse_nul(text for field in fields for text in field)
    return FormData(list[tuple[str, str | UploadFile]](fields))


async def _serve(
    request: Request, handler: Handler, role: Role | None, *, reads_form: bool, needs_factor: bool
) -> Response:
    is_safe = request.method in SAFE_METHODS
    if not is_safe:
        require_own_origin(request)
    _refuse_nul([*request.query_params.values(), *map(str, request.path_params.values())])
    # what an open page asks for by itself does not keep its session alive
    is_reload = is_safe and (
        "hx-request" in request.headers or "text/event-stream" in request.headers.get("accept", "")
    )
    visitor = await find_visitor(request, counts_as_use=not is_reload)
    if visitor is None:
        return _send_to_login(request)
    if needs_factor and not visitor.has_second_factor and _demands_factor(request):
        # what the page of the factor loads by itself would lead it to itself for ever
        return Response(status_code=204) if is_reload else RedirectResponse(SECOND_FACTOR, 303)
    request.state.visitor = visitor
    if not is_safe:
        request.state.form = await read_form(request) if reads_form else FormData()
        require_token(request, request.state.form, visitor.csrf)
    if role is not None and not visitor.has(role):
        raise Forbidden(f"This page needs the role {role.value}.")
    return await handler(request, visitor)


def _send_to_login(request: Request) -> Response:
    """Lead to the login, and from there back to the page; htmx follows a header of its own."""
    is_htmx = "hx-request" in request.headers
    shown = request.headers.get("hx-current-url", "") if is_htmx else str(request.url)
    may_return = is_htmx or request.method in SAFE_METHODS
    place = LOGIN + (
        f"?next={quote(shown[shown.find(HOME) :], safe='')}" if may_return and HOME in shown else ""
    )
    if is_htmx:
        return Response(status_code=401, headers={"HX-Redirect": place})
    return RedirectResponse(place, 303)


def _demands_factor(request: Request) -> bool:
    return get_state(request).context.settings.dashboard.second_factor == "demanded"


def _refuse_nul(texts: Iterable[str]) -> None:
    """Raise HTTPException 400 for a NUL character, which PostgreSQL cannot store or compare."""
    if any("\0" in text for text in texts):
        raise HTTPException(400, "The request has a NUL character.")


T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)


def require_found(found: T | None) -> T:
    """Return what was found. Raises HTTPException 404 for None."""
    if found is None:
        raise HTTPException(404)
    return found


def parse_id(text: object, field: str) -> UUID | None:
    """Return an id; None for an empty field. Raises HTTPException 400."""
    if not text:
        return None
    try:
        return UUID(str(text))
    except ValueError:
        raise HTTPException(400, f"{field} has to be an id: {str(text)[:100]!r} is none.") from None


def parse_place(
    text: str,
    read_last: Callable[[str], T],
    message: str = "The address of this page is incomplete: begin with the first page.",
) -> tuple[datetime, T] | None:
    """Return the place after which a page of a list begins: a time, and what is unique among those of one time.

    None for an empty text. Raises HTTPException 400.
    """
    at, _, last = text.partition(SEPARATOR)
    try:
        return (datetime.fromisoformat(at).astimezone(UTC), read_last(last)) if text else None
    except (ValueError, OverflowError):
        raise HTTPException(400, message) from None


def write_place(at: datetime, last: object) -> str:
    """Return a place as an address holds it."""
    return f"{at.isoformat()}{SEPARATOR}{last}"


def find_client(visitor: Visitor, text: object, field: str, role: Role = Role.VIEWER) -> UUID | None:
    """Return the client that a field names, where the visitor has the role; None for an empty field.

    Raises Forbidden, and HTTPException 400 or 404.
    """
    client = parse_id(text, field)
    if client is not None:
        visitor.require(client, role)
    return client


def read_client(visitor: Visitor, form: FormData, field: str = "workspace") -> UUID:
    """Return the client of a form, which the visitor administers. Raises InvalidField, and as `find_client`."""
    client = find_client(visitor, form.get(field), field, Role.ADMIN)
    if client is None:
        raise InvalidField(field, "Choose the client it is for.")
    return client


def read_place(visitor: Visitor, form: FormData) -> UUID | None:
    """Return the client of a form; None: all, for admins of all. Raises as `read_client`."""
    if form.get("workspace") != ALL:
        return read_client(visitor, form)
    visitor.require_all()
    return None


def parse_choice(kind: type[E], text: object, field: str) -> E | None:
    """Return one of the values of an enumeration; None for an empty field. Raises HTTPException 400."""
    if not text:
        return None
    try:
        return kind(str(text))
    except ValueError:
        raise HTTPException(
            400, f"{field} has to be one of {', '.join(kind)}: {str(text)[:100]!r} is not."
        ) from None
