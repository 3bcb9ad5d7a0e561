"""Imports: the upload, the claim of the worker that takes the next step, and the counts of its rows.

A step is a compare-and-set on the place where the import stands, under the lock of its row: of two workers that take
the same step, the second changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.bulk_import import WORKING, Action, ImportState
from pipeline.domain.post import NO_TIME
from pipeline.domain.release_forecast import Waiting
from pipeline.store import jobs
from pipeline.store.arrays import Records
from pipeline.store.auth.keys import Caller
from pipeline.store.database import (
    build,
    execute,
    has_row,
    insert,
    jsonb,
    list_columns,
    read_all,
    require_value,
    rows,
)
from pipeline.store.deliveries.holds import quote
from pipeline.store.deliveries.ownership import restrict_files
from pipeline.store.jobs import JobTable
from pipeline.store.posts.options import OWN_CAPTION, OWN_MEDIA, DraftOptions
from pipeline.store.selection import NEWEST, among, find, select, where


@dataclass(frozen=True, kw_only=True, slots=True)
class Import:
    """One import. ``done``: number of the last row that is applied, or rolled back."""

    id: UUID
    workspace_id: UUID
    key_id: UUID | None
    state: ImportState
    paused_from: ImportState | None
    name: str | None
    format: str
    encoding: str | None
    strict: bool
    updates: bool
    time_zone: str
    text_encoding: str | None
    dates: str | None
    blank: str | None
    """The time of rows without one."""
    columns: Mapping[str, str]
    accounts: Sequence[str]
    object: str
    size: int
    """Bytes."""
    sha256: bytes
    deleted_at: datetime | None
    removed_at: datetime | None
    total: int | None
    """Rows of the file; None until they are staged."""
    position: int
    rows: int
    accepted: int
    duplicate: int
    rejected: int
    plan_hash: bytes | None
    plan: Mapping[str, Any] | None
    done: int
    result: Mapping[str, int]
    """The results of applying and rolling back, counted by word."""
    notes: Sequence[str]
    error: Mapping[str, Any] | None
    held: Mapping[str, Any] | None
    """Why no chunk is done for a while: code, message, and ``until``."""
    created_at: datetime

    @property
    def title(self) -> str:
        """Return its name; one that was sent without a name is called by its format."""
        return self.name or f"{self.format.upper()} file"

    @property
    def is_removed(self) -> bool:
        """Return True if its file and rows are gone, or will be as a user has deleted them."""
        return self.deleted_at is not None or self.removed_at is not None

    @property
    def has_plan(self) -> bool:
        """Return True if the whole file is planned; until then ``plan`` counts changed rows alone."""
        return self.plan_hash is not None and "new" in (self.plan or {})


_COLUMNS = list_columns(Import)
_WORKING = quote(WORKING)
_SENT = where("size IS NOT NULL")


def begin_upload(c: Connection, caller: Caller, identity: UUID, key: str, **options: Any) -> None:
    """Record an upload, and the object that may be in storage from now on. It is visible once it is finished.

    *options*: name, encoding, strict, updates, time_zone, text_encoding, dates, blank, columns, accounts, notes.
    """
    own: dict[str, Any] = {"workspace_id": caller.workspace_id, "key_id": caller.stored_key}
    mappings = {name: jsonb(options.get(name, {})) for name in ("columns", "media")}
    mappings["notes"] = jsonb([*options.get("notes", ())])
    given = {**options, **mappings, "accounts": [*options.get("accounts", ())]}
    insert(c, "imports", id=identity, object=key, **own, **given)


def finish_upload(c: Connection, identity: UUID, *, size: int, sha256: bytes, format_: str) -> bool:
    """Finish an upload: a worker takes it from now on. Return False if it was given up."""
    return has_row(
        c,
        """UPDATE imports SET size = :size, sha256 = :sha, format = :format, touched_at = now()
           WHERE id = :id AND size IS NULL RETURNING id""",
        id=identity,
        size=size,
        sha=sha256,
        format=format_,
    )


def read_media(c: Connection, identity: UUID) -> dict[str, str]:
    """Return the URLs of media that were sent with an import, by their names."""
    sql = "SELECT media FROM imports WHERE id = :id"
    return require_value(c, dict, f"There is no import {identity}.", sql, id=identity)


def forget_upload(c: Connection, identity: UUID) -> None:
    """Delete the record of an upload whose object is not in storage."""
    execute(c, "DELETE FROM imports WHERE id = :id AND size IS NULL", id=identity)


def find_import(c: Connection, caller: Caller, identity: UUID, *, lock: bool = False) -> Import | None:
    """Return an import that the caller may see; a key that is restricted to accounts sees its own."""
    chosen = restrict_files(caller) & _SENT & where("id = :id", id=identity)
    return find(c, Import, "imports", chosen, lock="FOR UPDATE" if lock else "")


def list_imports(
    c: Connection, caller: Caller, *, limit: int, before: tuple[datetime, UUID] | None = None
) -> list[Import]:
    """Return a page of the imports that the caller may see, newest first."""
    chosen = restrict_files(caller) & _SENT
    return select(c, Import, "imports", chosen, by=NEWEST, after=before, limit=limit)


def list_newest(
    c: Connection,
    within: Collection[UUID] | None,
    *,
    limit: int,
    before: tuple[datetime, UUID] | None = None,
) -> list[tuple[Import, str | None]]:
    """Return a page of the imports of these workspaces, newest first; *within* None: of all.

    Each with who sent it, a user or a key by its name; None: the audit does not say any more.

    The newest of each workspace are read along its index, and merged.
    """
    after, own = NEWEST.start_after(before), among("w.id", within)
    found = rows(
        c,
        f"""SELECT x.*, coalesce((SELECT k.name FROM keys k WHERE k.id = x.key_id), (
                SELECT a.actor_name FROM audit a
                WHERE a.subject = x.id::text AND a.kind = 'import' AND a.verb = 'create' LIMIT 1)) AS who
            FROM workspaces w, LATERAL (
                SELECT {_COLUMNS} FROM imports WHERE workspace_id = w.id AND size IS NOT NULL AND {after}
                ORDER BY {NEWEST.order} LIMIT :n) x
            WHERE {own} ORDER BY {NEWEST.sort_by(["x.created_at", "x.id"])} LIMIT :n""",
        n=limit,
        **(own & after).values,
    )
    return [(build(Import, r), r.who) for r in found]


def rename(c: Connection, identity: UUID, name: str) -> None:
    """Give an import another name."""
    execute(c, "UPDATE imports SET name = :name WHERE id = :id", id=identity, name=name)


# --- steps -----------------------------------------------------------------------------------------------------------


def lock_step(c: Connection, claimed: Import) -> bool:
    """Lock the import. Return False if it is not where it was when the step was claimed: paused, or done by another.

    It waits for no lock: another worker that has it is doing the step.
    """
    sql = """SELECT id FROM imports WHERE id = :id AND state = :state AND position = :position AND done = :done
             FOR UPDATE SKIP LOCKED"""
    return has_row(c, sql, id=claimed.id, state=claimed.state, position=claimed.position, done=claimed.done)


def fail(c: Connection, claimed: Import, error: Mapping[str, Any]) -> None:
    """End an import that cannot go on, unless it has moved concurrently."""
    if lock_step(c, claimed):
        jobs.change(c, JOBS, claimed.id, state=ImportState.FAILED, error=dict(error))


# --- expiry ----------------------------------------------------------------------------------------------------------


def list_expired(c: Connection, keep: timedelta, abandoned: timedelta, limit: int) -> list[tuple[UUID, str]]:
    """Return id and object of imports to remove: deleted, older than ``keep`` and at rest, or never arrived."""
    found = rows(
        c,
        f"""SELECT id, object FROM imports
            WHERE removed_at IS NULL AND state NOT IN ({_WORKING})
                  AND (deleted_at IS NOT NULL OR created_at < now() - :keep)
               OR size IS NULL AND created_at < now() - :abandoned
            ORDER BY created_at LIMIT :n""",
        keep=keep,
        abandoned=abandoned,
        n=limit,
    )
    return [(r.id, r.object) for r in found]


def mark_deleted(c: Connection, identity: UUID) -> None:
    """Record that a user has deleted file and rows of an import: maintenance removes them."""
    _end(c, identity, "deleted_at")


def mark_removed(c: Connection, identity: UUID) -> None:
    """Record that file and rows of an import are gone. Its counts stay."""
    _end(c, identity, "removed_at")


def _end(c: Connection, identity: UUID, column: str) -> None:
    """Set a time of the end of an import; one that has not been applied is cancelled."""
    sql = f"""UPDATE imports SET {column} = now(), paused_from = NULL,
                     state = CASE WHEN state IN ('planned', 'paused') THEN 'cancelled' ELSE state END
              WHERE id = :id AND size IS NOT NULL"""
    execute(c, sql, id=identity)


JOBS = JobTable(
    name="imports",
    noun="import",
    columns=_COLUMNS,
    to_job=partial(build, Import),
    working=f"state IN ({_WORKING}) AND size IS NOT NULL",
    list_begun_by=lambda _: ("create", Action.apply, Action.rollback),
    begin="CASE WHEN state = 'uploaded' THEN 'reading' ELSE state END",
    cleared={"held": None},
)


def change_state(
    c: Connection, known: Import, state: ImportState, paused_from: ImportState | None = None, **changes: Any
) -> None:
    """Move a locked import on a user's request."""
    jobs.change(c, JOBS, known.id, state=state, paused_from=paused_from, **changes)


_ADDED = f"""
added AS (
    SELECT r.number, a AS account,
           coalesce(CASE WHEN e.own ->> 'scheduled_at' NOT LIKE 'auto%'
                    THEN CAST(e.own ->> 'scheduled_at' AS timestamptz) END, r.due_at, now()) AS due,
           md5(coalesce(e.own ->> 'caption', r.body ->> 'caption')
               || jsonb_strip_nulls(coalesce(e.own -> 'media', r.body -> 'media'))::text) AS content, e.own
    FROM import_rows r CROSS JOIN unnest(r.accounts) a LEFT JOIN LATERAL (
        SELECT jsonb_strip_nulls(x) AS own FROM jsonb_array_elements(r.body -> 'accounts') x
        WHERE lower(x ->> 'id') = CAST(a AS text) LIMIT 1) e ON true
    WHERE r.import_id = :id AND r.verdict = 'accepted' AND r.action = 'create' AND r.post_id IS NULL
          AND coalesce(r.due_at, now()) < '{NO_TIME}'),
there AS (
    SELECT d.id, d.account_id AS account, d.due_at AS due, d.post_id AS post, d.inbox_draft FROM post_deliveries d
    WHERE d.account_id IN (SELECT DISTINCT account FROM added) AND d.state IN ('accepted', 'scheduled', 'retrying'))
"""


def list_new(c: Connection, identity: UUID, draft_options: DraftOptions) -> list[Waiting]:
    """Return what the import adds to each account.

    ``draft_options``: a row that is not applied has no delivery yet that says whether it is an inbox draft.
    """
    return read_all(
        c,
        Waiting,
        f"""WITH {_ADDED}
            SELECT x.id AS account, x.platform, due,
                   coalesce(coalesce(added.own -> x.platform, r.body -> x.platform) @> ANY (ARRAY(
                        SELECT jsonb_array_elements(CAST(:draft_options AS jsonb) -> x.platform))), false) AS drafts,
                   CASE WHEN EXISTS (SELECT FROM pauses WHERE (scope, target) IN (('all', ''), ('platform', x.platform),
                       ('workspace', x.workspace_id::text), ('account', x.id::text))) THEN 'pause' ELSE '' END AS hold,
                   true AS is_new
            FROM added JOIN import_rows r ON r.import_id = :id AND r.number = added.number
                 JOIN accounts x ON x.id = account""",
        id=identity,
        draft_options=jsonb(draft_options),
    )


def count_same(c: Connection, identity: UUID) -> dict[UUID, int]:
    """Count, by account, the posts with the caption and media of another that the account has, or the import adds."""
    found = rows(
        c,
        f"""WITH {_ADDED}
            SELECT account, sum(n)::bigint AS posts FROM (
                SELECT account, count(*) FILTER (WHERE is_new) AS n
                FROM (SELECT account, content, true AS is_new FROM added
                      UNION ALL SELECT t.account, md5({OWN_CAPTION} || jsonb_strip_nulls({OWN_MEDIA})::text), false
                      FROM there t JOIN post_deliveries d ON d.id = t.id JOIN posts p ON p.id = t.post) every_one
                GROUP BY account, content HAVING count(*) > 1) same
            GROUP BY account HAVING sum(n) > 0""",
        id=identity,
    )
    return {r.account: r.posts for r in found}


_ENDS = Records("account uuid, ends timestamptz")


def count_after(
    c: Connection, identity: UUID, ends: Mapping[UUID, datetime]
) -> dict[UUID, tuple[int, datetime]]:
    """Count, by account, the posts that are due at a time or later; return the first of their times too."""
    found = rows(
        c,
        f"""WITH {_ADDED}
            SELECT account, count(*) AS posts, min(due) AS first
            FROM added JOIN {_ENDS} USING (account)
            WHERE due >= ends GROUP BY account ORDER BY account""",
        id=identity,
        **_ENDS.bind(ends.items()),
    )
    return {r.account: (r.posts, r.first) for r in found}


# --- the names that a workspace's files give our columns, kept by name ------------------------------------------------


def list_presets(c: Connection, workspace: UUID) -> dict[str, Mapping[str, str]]:
    """Return the presets of a workspace by name."""
    found = rows(c, "SELECT name, columns FROM import_presets WHERE workspace_id = :w", w=workspace)
    return {r.name: r.columns for r in found}


def save_preset(c: Connection, workspace: UUID, name: str, columns: Mapping[str, str]) -> None:
    """Keep a preset, instead of an earlier one of its name; an empty one removes it."""
    if not columns:
        sql = "DELETE FROM import_presets WHERE workspace_id = :w AND name = :name"
        execute(c, sql, w=workspace, name=name)
        return
    again = "(workspace_id, name) DO UPDATE SET columns = excluded.columns"
    insert(c, "import_presets", conflict=again, workspace_id=workspace, name=name, columns=jsonb(columns))
