"""The audit: a row for every change by a user, a key or the command line, written in the change's own transaction.

A new post needs none: it is its own record. The work of workers because of a change (the steps of an import or of
a steering job) is not recorded again, except actions on dead letters; their receipts say what became of each post.
Rows are only ever added: the database refuses UPDATE and TRUNCATE, and DELETE outside ``delete_expired``.

The actor is an argument, or a field of the ``Caller`` that actions get anyway: a change shows who makes it where it is
called, threads need nothing copied to them, and a call that forgets the actor does not pass the type checker.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from pydantic_core import to_jsonable_python
from sqlalchemy import Connection

from pipeline.domain.audit import Actor, ActorKind, bound_side, keep_changed
from pipeline.store.database import build, insert, jsonb, list_columns, read_all, read_one, row, rows
from pipeline.store.selection import Keyset, delete_oldest, where_given

Kind = Literal[
    "account",
    "approval link",
    "breaker",
    "delivery",
    "file",
    "import",
    "import preset",
    "key",
    "notice",
    "pause",
    "post",
    "restore",
    "session",
    "sign-in",
    "steering job",
    "user",
    "vault",
    "webhook",
    "workspace",
]
"""The kind of thing that is changed."""
Position = tuple[datetime, int]
"""The place of a row: its time and id."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditRow:
    """One change. ``subject``: id or name of the changed thing; ``before`` and ``after``: the fields that differ."""

    id: int
    at: datetime
    actor_kind: ActorKind
    actor_name: str
    actor_id: UUID | None
    address: str | None
    request_id: str | None
    verb: str
    kind: str
    subject: str | None
    workspace_id: UUID | None
    before: Mapping[str, Any]
    after: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditFilter:
    """Which rows; None: all. ``actor``: a name or an id; ``since`` is included, ``until`` is not."""

    since: datetime | None = None
    until: datetime | None = None
    workspace: UUID | None = None
    actor: str | None = None
    subject: str | None = None


_COLUMNS = list_columns(AuditRow)
_CONDITIONS: Mapping[str, str] = {
    "since": "at >= :since",
    "until": "at < :until",
    "workspace": "workspace_id = :workspace",
    "actor": "(actor_name = :actor OR actor_id::text = :actor)",
    "subject": "subject = :subject",
}
"""Field of an `AuditFilter` -> its condition."""


def record_change(
    c: Connection,
    actor: Actor | None,
    verb: str,
    kind: Kind,
    subject_id: UUID | str | None,
    workspace: UUID | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> int | None:
    """Add the row of a change, in the change's own transaction, and return its id.

    *before* and *after*: the fields that may differ; only fields that do are kept, long values shortened. They hold no
    secret. *actor* None: a worker, which carries out a change that was recorded when requested; nothing is added.
    """
    if actor is None:
        return None
    old, new = keep_changed(to_jsonable_python(before or {}), to_jsonable_python(after or {}))
    added = insert(
        c,
        "audit",
        returning="id",
        actor_kind=actor.kind,
        actor_name=actor.name,
        actor_id=actor.id,
        address=actor.address,
        request_id=actor.request_id,
        verb=verb,
        kind=kind,
        subject=None if subject_id is None else str(subject_id),
        workspace_id=workspace,
        before=jsonb(bound_side(old)),
        after=jsonb(bound_side(new)),
    )
    return int(added.id)


def find_actor(c: Connection, verbs: tuple[str, ...], kind: Kind, subject_id: UUID) -> Actor | None:
    """Return who last did one of these to a subject; None: no row says so."""
    return read_one(
        c,
        Actor,
        """SELECT actor_kind AS kind, actor_name AS name, actor_id AS id, address, request_id FROM audit
           WHERE subject = :subject AND kind = :kind AND verb = ANY(:verbs)
           ORDER BY at DESC, id DESC LIMIT 1""",
        subject=str(subject_id),
        kind=kind,
        verbs=[*verbs],
    )


def list_makers(
    c: Connection, kind: Kind, subjects: Sequence[str]
) -> dict[tuple[str, str], tuple[str, datetime]]:
    """Return who last did what to these subjects, and when: by subject and verb."""
    found = rows(
        c,
        """SELECT DISTINCT ON (subject, verb) subject, verb, actor_name, at FROM audit
           WHERE subject = ANY(:subjects) AND kind = :kind ORDER BY subject, verb, at DESC""",
        subjects=list(subjects),
        kind=kind,
    )
    return {(r.subject, r.verb): (r.actor_name, r.at) for r in found}


def list_changes(
    c: Connection,
    chosen: AuditFilter,
    *,
    limit: int,
    after: Position | None = None,
    newest_first: bool = False,
) -> list[AuditRow]:
    """Return a page of audit rows by keyset, oldest first unless *newest_first*; *after*: the last row before it."""
    sql, values = build_query(chosen, limit, after, newest_first=newest_first)
    return read_all(c, AuditRow, sql, **values)


def build_query(
    chosen: AuditFilter, limit: int, after: Position | None = None, *, newest_first: bool = False
) -> tuple[str, dict[str, Any]]:
    """Return the statement of ``list_changes`` and its values."""
    order = Keyset({"at": "timestamptz", "id": "bigint"}, descending=newest_first)
    requested = where_given(_CONDITIONS, **asdict(chosen))
    requested = requested & order.start_after(after)
    sql = f"SELECT {_COLUMNS} FROM audit WHERE {requested} ORDER BY {order.order} LIMIT :n"
    return sql, {**requested.values, "n": limit}


_OF_HISTORY: Mapping[str, str] = {
    **_CONDITIONS,
    "actor": "actor_name = :actor",
    "administers": """(kind IN ('account', 'breaker', 'import', 'pause', 'post', 'steering job')
                       OR workspace_id = ANY (CAST(:administers AS uuid[])))""",
}
_NEWEST = Keyset({"at": "timestamptz", "id": "bigint"}, descending=True)
Places = Sequence[UUID] | None
"""Workspaces; None: all."""


def list_history(
    c: Connection,
    chosen: AuditFilter,
    within: Places,
    administers: Places,
    limit: int,
    after: Position | None,
) -> list[AuditRow]:
    """Return a page of the changes that a reader sees, newest first: those in *within*, but uploads of files.

    *administers*: where also keys, webhooks and the workspace itself; None: and what belongs to no workspace. A page
    of each workspace is read, by index.
    """
    own = None if administers is None else tuple(administers)
    requested = where_given(_OF_HISTORY, **asdict(chosen), administers=own) & _NEWEST.start_after(after)

    def select(place: str) -> str:
        return f"""(SELECT {_COLUMNS} FROM audit WHERE {place} AND kind <> 'file' AND {requested}
                    ORDER BY {_NEWEST.order} LIMIT :n)"""

    parts = [
        f"SELECT a.* FROM unnest(CAST(:within AS uuid[])) w (own), LATERAL {select('workspace_id = w.own')} a"
    ]
    if within is None:
        parts = [select("workspace_id IS NOT NULL")]
    if administers is None:
        parts.append(select("workspace_id IS NULL"))
    sql = f"SELECT * FROM ({' UNION ALL '.join(parts)}) found ORDER BY {_NEWEST.order} LIMIT :n"
    found = rows(c, sql, **requested.values, n=limit, within=list(within or ()))
    return [build(AuditRow, r) for r in found]


def delete_expired(c: Connection, keep: timedelta, limit: int) -> int:
    """Delete up to *limit* of the rows older than *keep*, the oldest first; return how many."""
    row(
        c,
        "SELECT set_config('slipway.audit_expired', (now() - CAST(:keep AS interval))::text, true)",
        keep=keep,
    )
    return delete_oldest(
        c, "audit", "at < now() - CAST(:keep AS interval)", by="at, id", limit=limit, keep=keep
    )
