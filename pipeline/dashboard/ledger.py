"""Run functions of the ledger on threads of the dashboard's own, so that its pages never starve the API."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar, cast
from uuid import UUID

from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.requests import Request

from pipeline.api.http.bulkhead import Bulkhead, ConcurrencyLimit
from pipeline.api.http.request import find_address
from pipeline.dashboard.live_feed import LiveFeed
from pipeline.domain.audit import Actor
from pipeline.imports.validate import PostFormat
from pipeline.runtime.context import Context
from pipeline.store.auth.keys import Caller, read_caller
from pipeline.store.files.files import File
from pipeline.store.files.part_uploads import PartUpload
from pipeline.store.imports.imports import Import
from pipeline.store.moves import Reading, Watermark, read_live

T = TypeVar("T")
MAX_STREAMS, USER_STREAMS = 200, 20
"""Streams of live events in one server process, and of one user."""
_LOGINS: Mapping[str, Any] = {"limit": 64, "per_key": 8, "owner": "address", "operations": "logins"}
READ_SECONDS = 10.0
"""How long one statement of a page may take."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Receivers:
    """How bodies of requests are stored, as the API does: given by its application."""

    table: Callable[[Request, Caller], Awaitable[Import]]
    """As the file of a new import."""
    media: Callable[[Request, Caller], Awaitable[File]]
    """As a file of the workspace."""
    create_upload: Callable[[Request, Caller, UUID], Awaitable[PartUpload]]
    """As the description of a file that the user sends in parts."""
    part: Callable[[PartUpload, Request, Caller, UUID], Awaitable[PartUpload]]
    """As the next part of the user's upload."""


class DashboardState:
    """The state that the dashboard of one server process works with. ``posts``: how they are read, as the API does."""

    def __init__(self, context: Context, receivers: Receivers, posts: PostFormat) -> None:
        self.context, self.receivers, self.posts = context, receivers, posts
        self.reads = Bulkhead("dashboard-reads", threads=4, limit=128, per_key=32)
        self.actions = Bulkhead("dashboard-actions", threads=2, limit=64, per_key=16)
        # each holds 64 MiB while it hashes a password
        self.logins = Bulkhead("dashboard-logins", threads=2, **_LOGINS)
        # from an address, or in a browser, that logged in before
        self.known_logins = Bulkhead("dashboard-known-logins", threads=1, **_LOGINS)
        # they wait for a provider, which may not answer
        self.sign_ons = Bulkhead("dashboard-sign-ons", threads=2, **_LOGINS)
        self.polls = Bulkhead("dashboard-polls", threads=1, limit=1)
        # a page asks for fifty at once
        self.thumbnails = Bulkhead("dashboard-thumbnails", threads=2, limit=512, per_key=128)
        self.feed = LiveFeed(self._poll)
        self.streams = ConcurrencyLimit(
            MAX_STREAMS, per_owner=USER_STREAMS, owner="user", operations="live pages"
        )
        self.workspace_streams = ConcurrencyLimit(
            MAX_STREAMS, leaves_room=True, owner="workspace", operations="live pages"
        )

    async def _poll(self, before: Watermark | None, sessions: Collection[UUID]) -> Reading:
        return await self.polls.run(partial(_read, self.context, read_live, before, sessions))

    def close(self) -> None:
        """Finish the work in progress."""
        pages = (self.reads, self.actions, self.polls, self.thumbnails)
        for bulkhead in (*pages, self.logins, self.known_logins, self.sign_ons):
            bulkhead.close()


def get_state(request: Request) -> DashboardState:
    """Return the state of the dashboard that serves this request."""
    return cast("DashboardState", request.app.state.dashboard)


async def read(request: Request, function: Callable[..., T], *args: Any) -> T:
    """Run ``function(connection, *args)`` in a transaction that only reads.

    Raises what it raises, Unreachable, and Refusal 503 or 429 when too much is in progress.
    """
    state = get_state(request)
    return await state.reads.run(partial(_read, state.context, function, *args), _find_owner(request))


async def act(request: Request, function: Callable[..., T], *args: Any) -> T:
    """Run ``function(context, *args)``, which opens its own transactions. Raises as `read` does."""
    state = get_state(request)
    return await state.actions.run(partial(function, state.context, *args), _find_owner(request))


async def act_for(request: Request, workspace: UUID, function: Callable[..., T], *args: Any) -> T:
    """Run ``function(context, caller, *args)`` for the visitor in a workspace. Raises as `find_caller` and `act`."""

    def run(context: Context) -> T:
        return function(context, find_caller(context, request.state.visitor.actor, workspace), *args)

    return await act(request, run)


async def write(request: Request, function: Callable[..., T], *args: Any) -> T:
    """Run ``function(connection, *args)`` in a transaction. Raises as `read` does."""

    def run(context: Context) -> T:
        with context.database.begin() as c:
            return function(c, *args)

    return await act(request, run)


def read_own_caller(c: Connection, actor: Actor, workspace: UUID | None) -> Caller:
    """Return the caller as which a visitor acts for a workspace: by its plan, keyless. Raises HTTPException 404."""
    caller = read_caller(c, workspace, None) if workspace else None
    if caller is None:
        raise HTTPException(404)
    return replace(caller, actor=actor)


def find_caller(context: Context, actor: Actor, workspace: UUID) -> Caller:
    """Return what `read_own_caller` returns, from a transaction of its own."""
    with context.database.begin() as c:
        return read_own_caller(c, actor, workspace)


def find_client_address(request: Request) -> str:
    """Return the network address of the browser."""
    return find_address(request.scope, get_state(request).context.settings.api.proxy_networks)


def _read(context: Context, function: Callable[..., T], *args: Any) -> T:
    with context.database.begin_read(READ_SECONDS) as c:
        return function(c, *args)


def _find_owner(request: Request) -> Any:
    """Return the id of the user, whose share of the threads is limited."""
    visitor = getattr(request.state, "visitor", None)
    return None if visitor is None else visitor.user_id
