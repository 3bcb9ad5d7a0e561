"""Unsent forms: what a user has typed into the form of a post and not sent, kept for 30 days.

A form has a version, which each save raises: a save names the version that it changes, and one that names an older one
of another tab changes nothing, so that a second tab never overwrites what the first has typed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.database import has_row, jsonb, read_all, read_number

KEPT = timedelta(days=30)
MOST = 20
"""Forms of one user that are listed."""
_COLUMNS = "id, user_id, workspace_id, version, tab, fields, changed_at"


@dataclass(frozen=True, kw_only=True, slots=True)
class UnsentForm:
    """A form that was not sent."""

    id: UUID
    user_id: UUID
    workspace_id: UUID
    version: int
    tab: UUID
    """Of the page that saved it."""
    fields: Mapping[str, Sequence[str]]
    changed_at: datetime | None = None


def find_form(c: Connection, user: UUID, identity: UUID) -> UnsentForm | None:
    """Return a form of a user."""
    sql = f"SELECT {_COLUMNS} FROM unsent_forms WHERE id = :id AND user_id = :user"
    return next(iter(read_all(c, UnsentForm, sql, id=identity, user=user)), None)


def list_forms(c: Connection, user: UUID, workspaces: Sequence[UUID]) -> list[UnsentForm]:
    """Return a user's forms of these workspaces, the one that was changed last first."""
    sql = f"""SELECT {_COLUMNS} FROM unsent_forms
              WHERE user_id = :user AND workspace_id = ANY(CAST(:workspaces AS uuid[]))
              ORDER BY changed_at DESC LIMIT {MOST}"""
    return read_all(c, UnsentForm, sql, user=user, workspaces=list(workspaces))


def save_form(c: Connection, form: UnsentForm) -> UnsentForm | None:
    """Save a form as the version after its own, 0 of a new one; None if it is another one by now, or gone.

    What the same tab saved last is changed whatever its version: the answer to that save may have been lost.
    """
    sql = f"""INSERT INTO unsent_forms AS u (id, user_id, workspace_id, version, tab, fields)
              SELECT :id, :user, :w, :v + 1, :tab, CAST(:fields AS jsonb)
              WHERE :v = 0 OR EXISTS (SELECT FROM unsent_forms WHERE id = :id)
              ON CONFLICT (id) DO UPDATE SET version = u.version + 1, workspace_id = :w, tab = :tab,
                                             fields = CAST(:fields AS jsonb), changed_at = now()
              WHERE u.user_id = :user AND (u.version = :v OR u.tab = :tab) RETURNING {_COLUMNS}"""
    values = {"id": form.id, "user": form.user_id, "w": form.workspace_id, "v": form.version, "tab": form.tab}
    return next(iter(read_all(c, UnsentForm, sql, **values, fields=jsonb(dict(form.fields)))), None)


def delete_form(c: Connection, user: UUID, identity: UUID) -> bool:
    """Delete a form: it was sent, or thrown away. Return False if it is not there any more."""
    sql = "DELETE FROM unsent_forms WHERE id = :id AND user_id = :user RETURNING id"
    return has_row(c, sql, id=identity, user=user)


def delete_expired(c: Connection, most: int) -> int:
    """Delete the forms that were not changed for 30 days, at most *most* of them, and return how many."""
    return read_number(
        c,
        """WITH gone AS (DELETE FROM unsent_forms WHERE id IN (
               SELECT id FROM unsent_forms WHERE changed_at < now() - :kept LIMIT :most FOR UPDATE SKIP LOCKED)
           RETURNING 1) SELECT count(*) AS n FROM gone""",
        kept=KEPT,
        most=most,
    )
