"""The page of sessions: one's own, for admins of all workspaces everyone's, each with a button that ends it."""

from __future__ import annotations

from uuid import UUID

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from pipeline.dashboard.ledger import act, read
from pipeline.dashboard.page import page
from pipeline.dashboard.render import render
from pipeline.dashboard.visitor import Visitor
from pipeline.domain.account import Role
from pipeline.domain.audit import Actor
from pipeline.runtime.context import Context
from pipeline.store.audit import record_change
from pipeline.store.auth.sessions import end_session, list_sessions

PATH = "/dashboard/sessions"


@page(Role.VIEWER)
async def show_sessions(request: Request, visitor: Visitor) -> Response:
    """List the open sessions."""
    sessions = await read(request, list_sessions, _whose(visitor))
    return render(request, visitor, "sessions.html", sessions=sessions)


@page(Role.VIEWER)
async def end(request: Request, visitor: Visitor) -> Response:
    """End a session. One that has ended already is no error."""
    try:
        session = UUID(request.path_params["session_id"])
    except ValueError:
        raise HTTPException(404) from None
    await act(request, end_recorded, visitor.actor, session, _whose(visitor))
    return RedirectResponse(PATH, 303)


def _whose(visitor: Visitor) -> UUID | None:
    """Return whose sessions a visitor manages; None: everyone's."""
    return None if visitor.has_everywhere(Role.ADMIN) else visitor.user_id


def end_recorded(context: Context, actor: Actor, session: UUID, user: UUID | None) -> None:
    """End a session, if it is *user*'s, None: of any user, with its audit row."""
    with context.database.begin() as c:
        login = end_session(c, session, user)
        if login is not None:
            record_change(c, actor, "end", "session", session, before={"login": login})


ROUTES = (
    Route("/sessions", show_sessions),
    Route("/sessions/{session_id}/end", end, methods=["POST"]),
)
