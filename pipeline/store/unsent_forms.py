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

from pipeline.store.database import execute, jsonb, list_columns, read_one
from pipeline.store.selection import among, delete_oldest, equal, find, select

KEPT = timedelta(days=30)
MOST = 20
"""Forms of one user that are listed."""


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
    return find(c, UnsentForm, "unsent_forms", equal(id=identity, user_id=user))


def list_forms(c: Connection, user: UUID, workspaces: Sequence[UUID]) -> list[UnsentForm]:
    """Return a user's forms of these workspaces, the one that was changed last first."""
    own = equal(user_id=user) & among("workspace_id", workspaces)
    return select(c, UnsentForm, "unsent_forms", own, by="changed_at DESC", limit=MOST)


def save_form(c: Connection, form: UnsentForm) -> UnsentForm | None:
    """Save a form as the version after its own, 0 of a new one; None if it is another one by now, or gone.

    What the same tab saved last is changed whatever its version: the answer to that save may have been lost.
    """
    sql = f"""INSERT INTO unsent_forms AS u (id, user_id, workspace_id, version, tab, fields)
              SELECT :id, :user, :w, :v + 1, :tab, CAST(:fields AS jsonb)
              WHERE :v = 0 OR EXISTS (SELECT FROM unsent_forms WHERE id = :id)
              ON CONFLICT (id) DO UPDATE SET version = u.version + 1, workspace_id = :w, tab = :tab,
                                             fields = CAST(:fields AS jsonb), changed_at = now()
              WHERE u.user_id = :user AND (u.version = :v OR u.tab = :tab) RETURNING {list_columns(UnsentForm)}"""
    values = {"id": form.id, "user": form.user_id, "w": form.workspace_id, "v": form.version, "tab": form.tab}
    return read_one(c, UnsentForm, sql, **values, fields=jsonb(dict(form.fields)))


def delete_form(c: Connection, user: UUID, identity: UUID) -> bool:
    """Delete a form: it was sent, or thrown away. Return False if it is not there any more."""
    sql = "DELETE FROM unsent_forms WHERE id = :id AND user_id = :user"
    return execute(c, sql, id=identity, user=user) > 0


def delete_expired(c: Connection, most: int) -> int:
    """Delete the forms that were not changed for 30 days, at most *most* of them, and return how many."""
    return delete_oldest(
        c, "unsent_forms", "changed_at < now() - :kept", by="changed_at", limit=most, kept=KEPT
    )
