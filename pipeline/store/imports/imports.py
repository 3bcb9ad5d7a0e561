"""Imports: the upload, the claim of the worker that takes the next step, and the counts of its rows.

A step is a compare-and-set on the place where the import stands, under the lock of its row: of two workers that take
the same step, the second changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.bulk_import import WORKING, ImportState
from pipeline.store import jobs
from pipeline.store.auth.keys import Caller
from pipeline.store.database import row, rows
from pipeline.store.deliveries.ownership import restrict_files
from pipeline.store.jobs import JobTable
from pipeline.store.selection import Keyset


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
    time_zone: str | None
    object: str
    size: int
    """Bytes."""
    sha256: bytes
    removed_at: datetime | None
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
    def has_plan(self) -> bool:
        """Return True if the whole file is planned; until then ``plan`` counts changed rows alone."""
        return self.plan_hash is not None and "new" in (self.plan or {})


_COLUMNS = ", ".join(Import.__dataclass_fields__)
_WORKING = ", ".join(f"'{state}'" for state in sorted(WORKING))


def begin_upload(c: Connection, caller: Caller, identity: UUID, key: str, **options: Any) -> None:
    """Record an upload, and the object that may be in storage from now on. It is visible once it is finished.

    *options*: name, encoding, strict, updates, time_zone.
    """
    row(
        c,
        """INSERT INTO imports (id, workspace_id, key_id, object, name, encoding, strict, updates, time_zone)
           VALUES (:id, :w, :key, :object, :name, :encoding, :strict, :updates, :time_zone) RETURNING id""",
        id=identity,
        w=caller.workspace_id,
        key=caller.stored_key,
        object=key,
        **options,
    )


def finish_upload(c: Connection, identity: UUID, *, size: int, sha256: bytes, format_: str) -> bool:
    """Finish an upload: a worker takes it from now on. Return False if it was given up."""
    found = row(
        c,
        """UPDATE imports SET size = :size, sha256 = :sha, format = :format, touched_at = now()
           WHERE id = :id AND size IS NULL RETURNING id""",
        id=identity,
        size=size,
        sha=sha256,
        format=format_,
    )
    return found is not None


def forget_upload(c: Connection, identity: UUID) -> None:
    """Delete the record of an upload whose object is not in storage."""
    row(c, "DELETE FROM imports WHERE id = :id AND size IS NULL RETURNING id", id=identity)


def find_import(c: Connection, caller: Caller, identity: UUID, *, lock: bool = False) -> Import | None:
    """Return an import that the caller may see; a key that is restricted to accounts sees its own."""
    own = restrict_files(caller)
    found = row(
        c,
        f"""SELECT {_COLUMNS} FROM imports WHERE id = :id AND {own} AND size IS NOT NULL
            {"FOR UPDATE" if lock else ""}""",
        id=identity,
        **own.values,
    )
    return None if found is None else _to_import(found)


_NEWEST = Keyset({"created_at": "timestamptz", "id": "uuid"}, descending=True)


def list_imports(
    c: Connection, caller: Caller, *, limit: int, before: tuple[datetime, UUID] | None = None
) -> list[Import]:
    """Return a page of the imports that the caller may see, newest first."""
    own = restrict_files(caller) & _NEWEST.start_after(before)
    found = rows(
        c,
        f"""SELECT {_COLUMNS} FROM imports WHERE {own} AND size IS NOT NULL
            ORDER BY {_NEWEST.order} LIMIT :n""",
        n=limit,
        **own.values,
    )
    return [_to_import(r) for r in found]


# --- steps -----------------------------------------------------------------------------------------------------------


def lock_step(c: Connection, claimed: Import) -> bool:
    """Lock the import. Return False if it is not where it was when the step was claimed: paused, or done by another.

    It waits for no lock: another worker that has it is doing the step.
    """
    sql = """SELECT id FROM imports WHERE id = :id AND state = :state AND position = :position AND done = :done
             FOR UPDATE SKIP LOCKED"""
    found = row(c, sql, id=claimed.id, state=claimed.state, position=claimed.position, done=claimed.done)
    return found is not None


def fail(c: Connection, claimed: Import, error: Mapping[str, Any]) -> None:
    """End an import that cannot go on, unless it has moved concurrently."""
    if lock_step(c, claimed):
        jobs.change(c, JOBS, claimed.id, state=ImportState.FAILED, error=dict(error))


# --- expiry ----------------------------------------------------------------------------------------------------------


def list_expired(c: Connection, keep: timedelta, abandoned: timedelta, limit: int) -> list[tuple[UUID, str]]:
    """Return id and object of imports to remove: older than ``keep`` and at rest, or uploads that never arrived."""
    found = rows(
        c,
        f"""SELECT id, object FROM imports
            WHERE removed_at IS NULL AND state NOT IN ({_WORKING}) AND created_at < now() - :keep
               OR size IS NULL AND created_at < now() - :abandoned
            ORDER BY created_at LIMIT :n""",
        keep=keep,
        abandoned=abandoned,
        n=limit,
    )
    return [(r.id, r.object) for r in found]


def mark_removed(c: Connection, identity: UUID) -> None:
    """Record that file and rows of an import are gone. Its counts stay; one that was never planned is cancelled."""
    row(
        c,
        """UPDATE imports SET removed_at = now(), paused_from = NULL,
                  state = CASE WHEN state IN ('planned', 'paused') THEN 'cancelled' ELSE state END
           WHERE id = :id AND size IS NOT NULL RETURNING id""",
        id=identity,
    )


def _to_import(found: Any) -> Import:
    values = dict(found._mapping)
    paused = values["paused_from"]
    return Import(
        **{
            **values,
            "state": ImportState(values["state"]),
            "paused_from": None if paused is None else ImportState(paused),
            "sha256": bytes(values["sha256"]),
            "plan_hash": None if values["plan_hash"] is None else bytes(values["plan_hash"]),
        }
    )


JOBS = JobTable(
    name="imports",
    noun="import",
    columns=_COLUMNS,
    to_job=_to_import,
    working=f"state IN ({_WORKING}) AND size IS NOT NULL",
    begin="CASE WHEN state = 'uploaded' THEN 'reading' ELSE state END",
    cleared={"held": None},
)


def change_state(
    c: Connection, known: Import, state: ImportState, paused_from: ImportState | None = None, **changes: Any
) -> None:
    """Move a locked import on a user's request."""
    jobs.change(c, JOBS, known.id, state=state, paused_from=paused_from, **changes)
