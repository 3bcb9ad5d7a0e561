"""Jobs that workers do in steps, imports and steering jobs: the claim, the change after a step, and lost messages.

A claim is a lease in the job's row. A job that no worker has had for a while is dispatched again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.level import LEVEL
from pipeline.store.audit import Kind
from pipeline.store.database import Database, find_value, jsonb, read_column, require_row, row

LEASE = timedelta(seconds=7)
"""After which another worker may take the job of one that died; each step extends it."""
STATEMENT = timedelta(seconds=5)
"""The longest statement of a step, so that a live step ends before the lease."""
_STEP = f"""
SELECT set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
       set_config('statement_timeout', '{STATEMENT.seconds}s', true),
       set_config('idle_in_transaction_session_timeout', '{LEASE.seconds}s', true)
"""


class Job(Protocol):
    """A job of any table."""

    @property
    def id(self) -> UUID:
        """Its id."""

    @property
    def workspace_id(self) -> UUID:
        """Whose it is."""

    @property
    def key_id(self) -> UUID | None:
        """The key that made it."""


J = TypeVar("J", bound=Job)


@dataclass(frozen=True, kw_only=True, slots=True)
class JobTable(Generic[J]):
    """A table of jobs, with columns ``workspace_id``, ``state``, ``error``, ``lease_until`` and ``touched_at``."""

    name: str
    noun: Kind
    """As errors name one."""
    columns: str
    """The columns that are returned."""
    to_job: Callable[[Any], J]
    """Turns such a row into a job."""
    working: str
    """SQL for whether a job has a next step, which a worker of ``:level`` understands."""
    list_begun_by: Callable[[J], tuple[str, ...]]
    """Returns the verbs of the audit whose last actor a job works for: those that begin it, not those that hold it."""
    begin: str = "state"
    """SQL for the state after a claim."""
    of_closed: bool = False
    """Its jobs work for a workspace that is being deleted; others fail there."""
    cleared: Mapping[str, Any] = field(default_factory=dict)
    """The values of columns that a change does not name."""


@contextmanager
def begin_step(database: Database) -> Iterator[Connection]:
    """Open the transaction of a step, whose statements walk along indexes and end in time. Raises Unreachable.

    Tables grow by thousands of rows before they are counted again. Until then a plan that reads one whole, or collects
    all rows of a job before it sorts them, takes time with the square of the rows.
    """
    with database.begin() as c:
        row(c, _STEP)
        yield c


def find_workspace_of_job(c: Connection, table: JobTable[Any], identity: UUID) -> UUID | None:
    """Return the workspace of a job."""
    return find_value(c, UUID, f"SELECT workspace_id FROM {table.name} WHERE id = :id", id=identity)


def claim(
    c: Connection,
    table: JobTable[J],
    identity: UUID,
    lease: timedelta,
    *,
    waits: bool = False,
    level: int = LEVEL,
) -> J | None:
    """Claim the next step of a job, and return the job; None: there is none, another has it, or it is above *level*.

    A job that another transaction has locked counts as another worker's, unless this one *waits* for it.
    """
    found = row(
        c,
        f"""UPDATE {table.name} SET lease_until = now() + :lease, touched_at = now(), state = {table.begin}
            WHERE id = (SELECT id FROM {table.name} WHERE id = :id AND {table.working}
                          AND (lease_until IS NULL OR lease_until < now())
                        FOR UPDATE {"" if waits else "SKIP LOCKED"})
            RETURNING {table.columns}""",
        id=identity,
        lease=lease,
        level=level,
    )
    return None if found is None else table.to_job(found)


def change(
    c: Connection, table: JobTable[J], identity: UUID, lease: timedelta | None = None, **changes: Any
) -> J:
    """Store where a locked job stands, and return it. Without *lease* the claim is released. Raises LookupError.

    *changes*: columns and their values; mappings and lists are stored as JSON.
    """
    changes = {**table.cleared, **changes}
    values = {n: jsonb(v) if isinstance(v, dict | list) else v for n, v in changes.items()}
    found = require_row(
        c,
        f"There is no {table.noun} {identity}.",
        f"""UPDATE {table.name} SET {"".join(f"{name} = :{name}, " for name in changes)}
                   lease_until = now() + CAST(:lease AS interval), touched_at = now()
            WHERE id = :id RETURNING {table.columns}""",
        id=identity,
        lease=lease,
        **values,
    )
    return table.to_job(found)


def list_unclaimed(
    c: Connection, table: JobTable[Any], idle: timedelta, limit: int, level: int = LEVEL
) -> list[UUID]:
    """Return jobs with a next step that no worker has had for so long: their message was lost.

    Jobs above *level* are left to workers that understand them.

    Each is returned again after as long: the next message may wait in a long queue.
    """
    return read_column(
        c,
        f"""UPDATE {table.name} SET touched_at = now() WHERE id = ANY(ARRAY(
                SELECT id FROM {table.name} WHERE {table.working} AND touched_at < now() - :idle
                  AND (lease_until IS NULL OR lease_until < now())
                ORDER BY touched_at LIMIT :n FOR UPDATE SKIP LOCKED)) RETURNING id""",
        idle=idle,
        n=limit,
        level=level,
    )
