"""The visitor: the user of a request's session, and what they may do where."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from urllib.parse import urlsplit
from uuid import UUID

from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from pipeline.api.http.middleware import REQUEST_ID
from pipeline.dashboard.ledger import find_client_address, get_state
from pipeline.dashboard.live_feed import seal_position
from pipeline.domain.account import Role
from pipeline.domain.audit import Actor
from pipeline.runtime.context import Context
from pipeline.store.auth.sessions import KNOWN_FOR, OpenSession, find_session, touch_session


class Forbidden(Exception):
    """The visitor's role is too small. ``str()`` is a sentence for the visitor."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Visitor(OpenSession):
    """A logged-in user, in a session. A role in all workspaces stands for each in ``roles``."""

    csrf: str = field(repr=False)
    address: str
    request_id: str
    cursor: str
    """Where live events begin: what the page reads has every move up to there (`live_feed.py`)."""

    @property
    def actor(self) -> Actor:
        """The visitor, as the author of a change."""
        return Actor(
            kind="user",
            name=self.login,
            id=self.user_id,
            address=self.address,
            request_id=self.request_id,
        )

    @property
    def is_author(self) -> bool:
        """True if the visitor may write posts somewhere."""
        return self.has(Role.AUTHOR)

    def has(self, role: Role) -> bool:
        """Return True if the visitor has at least this role somewhere."""
        return self.has_everywhere(role) or any(own >= role for own in self.roles.values())

    @property
    def is_admin(self) -> bool:
        """Return True for an admin of some workspace, who sees the settings of others."""
        return self.has(Role.ADMIN)

    def has_everywhere(self, role: Role) -> bool:
        """Return True if the visitor has at least this role in all workspaces."""
        return self.everywhere is not None and self.everywhere >= role

    def workspaces(self, role: Role) -> tuple[UUID, ...]:
        """Return the workspaces where the visitor has at least this role."""
        return tuple(workspace for workspace, own in self.roles.items() if own >= role)

    def list_clients(self, role: Role) -> list[UUID]:
        """Return the same workspaces by their names."""
        return sorted(self.workspaces(role), key=lambda one: (self.names.get(one, "").casefold(), one))

    @property
    def managed(self) -> Mapping[UUID, str]:
        """The names of the workspaces where the visitor is an admin."""
        return {one: self.names[one] for one in self.workspaces(Role.ADMIN)}

    @property
    def manages_all(self) -> bool:
        """True for an admin of all workspaces."""
        return self.has_everywhere(Role.ADMIN)

    def require_all(self) -> None:
        """Raise Forbidden unless the visitor is an admin of all workspaces."""
        if not self.manages_all:
            raise Forbidden("This needs the role admin in all workspaces.")

    def may_author(self, workspace: UUID | None) -> bool:
        """Return True if the visitor may change the posts of a workspace."""
        return workspace is not None and self.roles.get(workspace, Role.VIEWER) >= Role.AUTHOR

    def require(self, workspace: UUID, role: Role) -> None:
        """Raise Forbidden for a smaller role in the workspace; HTTPException 404 for none, as for an unknown one."""
        own = self.roles.get(workspace)
        if own is None:
            raise HTTPException(404)
        if own < role:
            raise Forbidden(f"This needs the role {role.value} in the workspace.")


async def find_visitor(request: Request, *, counts_as_use: bool = True) -> Visitor | None:
    """Return the visitor of the request's session; None without a valid one. Raises Unreachable.

    *counts_as_use*: whether the session's idle time starts again.
    """
    token = read_token(request)
    if token is None:
        return None
    state = get_state(request)
    session = await state.reads.run(lambda: _open(state.context, token, counts_as_use=counts_as_use))
    if session is None:
        return None
    return Visitor(
        **{one.name: getattr(session, one.name) for one in fields(session)},
        csrf=derive_csrf(token),
        address=find_client_address(request),
        request_id=request.scope[REQUEST_ID],
        cursor=seal_position(state.context.vault, session.id, session.position),
    )


def _open(context: Context, token: str, *, counts_as_use: bool) -> OpenSession | None:
    with context.database.once() as c:
        session = find_session(c, token)
        if session is not None and session.is_stale and counts_as_use:
            touch_session(c, session.id)
        return session


def derive_csrf(token: str) -> str:
    """Return the token that the pages of a session repeat; it does not give the session's own away."""
    return hmac.new(token.encode(), b"csrf", hashlib.sha256).hexdigest()


_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_SESSION, _LOGIN, _SIGN_ON, _HOST = "slipway", "slipway-login", "slipway-sign-on", "__Host-"


def is_loopback(request: Request) -> bool:
    """Return True if the browser opened this server by a name of its own machine, over plain http.

    A request that changes something says so in Origin. A proxy may replace the Host of others by its own loopback.
    """
    origin = request.headers.get("origin") or _build_origin(request)
    return origin.startswith("http://") and _is_this_machine(origin)


def read_token(request: Request) -> str | None:
    """Return the token of the session."""
    return _read(request, _SESSION) or None


def set_token(request: Request, response: Response, token: str) -> None:
    """Let the browser keep the token until it closes."""
    _set(request, response, _SESSION, token)


def clear_token(request: Request, response: Response) -> None:
    """Let the browser forget the token."""
    _set(request, response, _SESSION, "", max_age=0)


def read_login_token(request: Request) -> str:
    """Return the token that the form for logging in has to repeat; empty without one."""
    return _read(request, _LOGIN)


def set_login_token(request: Request, response: Response, token: str) -> None:
    """Let the browser keep the token of the form for logging in, by which it is known later."""
    _set(request, response, _LOGIN, token, max_age=int(KNOWN_FOR.total_seconds()))


def read_sign_on(request: Request) -> str:
    """Return what the browser keeps of the sign-on that it began; empty without one."""
    return _read(request, _SIGN_ON)


def set_sign_on(request: Request, response: Response, sealed: str, max_age: int) -> None:
    """Let the browser keep a sign-on while its user is at the provider; 0: let it forget."""
    _set(request, response, _SIGN_ON, sealed, max_age=max_age)


def _read(request: Request, name: str) -> str:
    """Return a cookie; without ``__Host-``, which other hosts of the domain could set, only on this machine."""
    plain = request.cookies.get(name, "") if _is_this_machine(_build_origin(request)) else ""
    return request.cookies.get(_HOST + name) or plain


def _build_origin(request: Request) -> str:
    return f"http://{request.headers.get('host', '')}"


def _is_this_machine(origin: str) -> bool:
    try:
        return urlsplit(origin).hostname in _LOOPBACK
    except ValueError:  # a bracket that is not closed, for example
        return False


def _set(request: Request, response: Response, name: str, value: str, *, max_age: int | None = None) -> None:
    is_plain = is_loopback(request)
    response.set_cookie(
        name if is_plain else _HOST + name,
        value,
        max_age=max_age,
        path="/",
        secure=not is_plain,
        httponly=True,
        samesite="lax",
    )


SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
TOKEN_FIELD, TOKEN_HEADER = "csrf", "x-csrf-token"


class CrossSite(Exception):
    """The request did not come from a page of the dashboard."""


def require_own_origin(request: Request) -> None:
    """Raise CrossSite unless the browser says that a page of this server sent the request.

    Every browser since 2020 sends Origin with all requests but GET and HEAD (Fetch standard, section 3.2, read
    2026-11-27). Sec-Fetch-Site stands for Origin where a proxy on the way has removed it.
    """
    origin = request.headers.get("origin")
    if origin is None:
        if request.headers.get("sec-fetch-site") == "same-origin":
            return
        raise CrossSite("The request does not say which page sent it.")
    if origin not in _list_own_origins(request):
        raise CrossSite("The request was sent by a page of another site.")


def require_token(request: Request, form: FormData, expected: str) -> None:
    """Raise CrossSite unless the request repeats the token of the session's pages, in a field or a header."""
    given = request.headers.get(TOKEN_HEADER) or form.get(TOKEN_FIELD)
    is_equal = isinstance(given, str) and hmac.compare_digest(given.encode(), expected.encode())
    if not (expected and is_equal):
        raise CrossSite("The page is out of date: reload it and try again.")


def _list_own_origins(request: Request) -> set[str]:
    """Return the origins of this server: a proxy in front may end TLS, so both schemes of its host count."""
    host = request.headers.get("host", "")
    own = {f"https://{host}", f"http://{host}"} if host else set()
    public = urlsplit(get_state(request).context.settings.api.public_url)
    return own | ({f"{public.scheme}://{public.netloc}"} if public.netloc else set())
