"""Origins of OAuth sessions: who began one, for the page that asks for confirmation, and what became of a link."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.database import row


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionOrigin:
    """The workspace of a session, and what started it."""

    workspace: str
    """Name."""
    key: str | None
    """The API key by its name and public half; None: the command line, or a user."""
    user: str | None
    """The login of the dashboard's user; None: not one of them."""
    started_at: datetime


def read_origin(c: Connection, session: UUID) -> SessionOrigin:
    """Return the origin of a session. Raises LookupError."""
    found = row(
        c,
        """SELECT w.name AS workspace, k.name AS key, k.public_id, u.login AS user, g.created_at
           FROM grants g JOIN workspaces w ON w.id = g.workspace_id LEFT JOIN keys k ON k.id = g.key_id
           LEFT JOIN users u ON u.id = g.user_id
           WHERE g.id = :id""",
        id=session,
    )
    if found is None:
        raise LookupError(f"There is no OAuth session {session}.")
    key = f"“{found.key}” ({found.public_id})" if found.key else found.public_id
    return SessionOrigin(workspace=found.workspace, key=key, user=found.user, started_at=found.created_at)
