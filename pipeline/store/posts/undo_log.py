"""What an undo needs: deliveries as they were before a change, and the changes of posts of the last ten minutes.

The audit shortens texts and hides the queries of URLs, so the log keeps what a change replaced, next to its audit row.
What a steering job changed is kept in the job's receipts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import Connection

from pipeline.domain.delivery import State
from pipeline.domain.steering import UNDO_WITHIN
from pipeline.store.database import execute, insert, jsonb, read_one, rows
from pipeline.store.posts.actions import LockedDelivery
from pipeline.store.selection import delete_oldest

KEEP = timedelta(hours=1)
"""For so long a change is logged: longer than it can be undone."""
AUDITED = timedelta(days=1)
"""How far back the audit row of a change is looked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Before:
    """A delivery before a change. ``edits``, ``tokens``, ``paused_by``, ``paused_why``: as of ``LockedDelivery``."""

    state: State
    due_at: datetime
    edits: int
    tokens: Sequence[str] = ()
    paused_by: UUID | None = None
    paused_why: str | None = None


Befores = Mapping[UUID, Before]
"""By delivery."""
_BEFORE = TypeAdapter(Before)


def list_befores(parts: Iterable[LockedDelivery]) -> Befores:
    """Return deliveries as an undo needs them, before they are changed."""
    names = Before.__dataclass_fields__
    return {part.id: Before(**{name: getattr(part, name) for name in names}) for part in parts}


def dump_before(before: Before) -> Mapping[str, Any]:
    """Return a delivery before a change as a receipt keeps it."""
    found: Mapping[str, Any] = _BEFORE.dump_python(before, mode="json", exclude_defaults=True)
    return found


def load_before(stored: Mapping[str, Any]) -> Before:
    """Return what ``dump_before`` returned."""
    return _BEFORE.validate_python(stored)


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggedChange:
    """A change of the last day, by its audit row. ``undo``: the edit that undoes it, as JSON; None: it has no undo."""

    kind: str
    verb: str
    subject: str | None
    before: Mapping[str, Any]
    is_last: bool
    """Nothing of its kind was done to its subject since."""
    at: datetime
    now: datetime
    post_id: UUID | None
    undo: Mapping[str, Any] | None


def log_change(c: Connection, audit: int, post: UUID, undo: Mapping[str, Any]) -> None:
    """Log the edit that undoes a change of a post, in the transaction of the change."""
    insert(c, "undo_log", audit_id=audit, post_id=post, undo=jsonb(undo))


def find_change(c: Connection, workspace: UUID, audit: int) -> LoggedChange | None:
    """Return a change of the last day by the id of its audit row; None: the workspace has none."""
    return read_one(
        c,
        LoggedChange,
        """SELECT a.kind, a.verb, a.subject, a.before, a.at, now() AS now, u.post_id, u.undo,
                  NOT EXISTS (SELECT FROM audit l WHERE l.subject = a.subject AND l.kind = a.kind
                              AND (l.at, l.id) > (a.at, a.id)) AS is_last
           FROM audit a LEFT JOIN undo_log u ON u.audit_id = a.id
           WHERE a.workspace_id = :w AND a.at > now() - CAST(:within AS interval) AND a.id = :id""",
        w=workspace,
        id=audit,
        within=AUDITED,
    )


def find_last_changes(c: Connection, posts: Collection[UUID]) -> Mapping[UUID, int]:
    """Return the audit row of the last logged change of each post that can still be undone by its time."""
    found = rows(
        c,
        """SELECT post_id, max(audit_id) AS id FROM undo_log WHERE post_id = ANY (CAST(:posts AS uuid[]))
           GROUP BY 1 HAVING max(made_at) > now() - CAST(:within AS interval)""",
        posts=list(posts),
        within=UNDO_WITHIN,
    )
    return {r.post_id: r.id for r in found}


def keep_tokens(c: Connection, post: UUID, tokens: Collection[str]) -> bool:
    """Keep the tokens of a post that is not canceled any more; False if another post has taken one since.

    Requests that wait for this transaction find them kept. The caller holds the post's lock.
    """
    sql = """UPDATE replays SET released = false, kept_in = pg_current_xact_id()
             WHERE post_id = :post AND token = ANY (CAST(:tokens AS text[]))"""
    return execute(c, sql, post=post, tokens=list(tokens)) == len(tokens)


def delete_expired(c: Connection, limit: int) -> int:
    """Delete up to *limit* of the logged changes that are too old for an undo, the oldest first; return how many."""
    old = "made_at < now() - CAST(:keep AS interval)"
    return delete_oldest(c, "undo_log", old, by="made_at", limit=limit, keep=KEEP)
