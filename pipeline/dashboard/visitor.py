"""The visitor: the user of a request's session, and what they may do where."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from starlette.exceptions import HTTPException
from starlette.requests import Request

from pipeline.api.http.middleware import REQUEST_ID
from pipeline.dashboard import session_cookie
from pipeline.dashboard.ledger import find_client_address, get_state
from pipeline.dashboard.live_cursor import seal_position
from pipeline.domain.account import Role
from pipeline.domain.audit import Actor
from pipeline.runtime.context import Context
from pipeline.store.auth.sessions import OpenSession, find_session, touch_session


class Forbidden(Exception):
    """The visitor's role is too small. ``str()`` is a sentence for the visitor."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Visitor:
    """A logged-in user."""

    user_id: UUID
    login: str
    session_id: UUID
    roles: Mapping[UUID, Role]
    """By workspace; a role in all workspaces stands for each."""
    names: Mapping[UUID, str]
    """The names of these workspaces."""
    everywhere: Role | None
    """The role in all workspaces, for what belongs to none."""
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

    def has(self, role: Role) -> bool:
        """Return True if the visitor has at least this role somewhere."""
        return self.has_everywhere(role) or any(own >= role for own in self.roles.values())

    def has_everywhere(self, role: Role) -> bool:
        """Return True if the visitor has at least this role in all workspaces."""
        return self.everywhere is not None and self.everywhere >= role

    def workspaces(self, role: Role) -> tuple[UUID, ...]:
        """Return the workspaces where the visitor has at least this role."""
        return tuple(workspace for workspace, own in self.roles.items() if own >= role)

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
    token = session_cookie.read_token(request)
    if token is None:
        return None
    state = get_state(request)
    session = await state.reads.run(lambda: _open(state.context, token, counts_as_use=counts_as_use))
    if session is None:
        return None
    return _to_visitor(
        session, token, request, seal_position(state.context.vault, session.id, session.position)
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


def _to_visitor(session: OpenSession, token: str, request: Request, cursor: str) -> Visitor:
    return Visitor(
        user_id=session.user_id,
        login=session.login,
        session_id=session.id,
        roles=session.roles,
        names=session.names,
        everywhere=session.everywhere,
        csrf=derive_csrf(token),
        address=find_client_address(request),
        request_id=request.scope[REQUEST_ID],
        cursor=cursor,
    )
