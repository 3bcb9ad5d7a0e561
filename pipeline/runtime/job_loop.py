"""The loop of jobs that workers do in steps: imports, their rollbacks, and steering jobs.

A step claims the job, reads whom it acts for, and works in transactions that commit the work with the place where it
stands. If a worker dies anywhere, a transaction was committed or not at all. Maintenance dispatches the next step when
no worker has had the job for a while; a step that is dispatched twice is done once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

from pipeline.domain.level import LEVEL
from pipeline.store import jobs
from pipeline.store.audit import find_actor
from pipeline.store.auth.keys import Caller, read_caller
from pipeline.store.database import Database
from pipeline.store.jobs import J, JobTable

TRANSACTION = 0.2
"""Seconds that a transaction of a step takes at most, in general: others wait as long for the rows that it locks."""
AIM, GROWTH = 0.75 * TRANSACTION, 4
"""Seconds of the next transaction; how many times as large as the last one it is at most."""


def next_chunk_size(last_size: int, last_seconds: float) -> int:
    """Return the rows of the next transaction of a job, after one of *last_size* rows took *last_seconds*."""
    fitting = int(last_size * AIM / max(last_seconds, 0.001))
    return max(1, min(fitting, GROWTH * last_size))


_running: set[UUID] = set()
"""The jobs of this process: one that hangs holds one thread, however often it is dispatched again."""


def run_step(
    database: Database,
    table: JobTable[J],
    identity: UUID,
    work: Callable[[J, Caller | None], bool],
    *,
    waits: bool = False,
    level: int = LEVEL,
) -> bool:
    """Do the next step of a job; False if none is left for this worker (*waits*, *level*: as in ``jobs.claim``).

    *work* returns True if there is a next step. It gets no caller for a job that has failed, as its key is no longer
    valid.
    """
    if identity in _running:
        return False
    _running.add(identity)
    try:
        with jobs.begin_step(database) as c:
            job = jobs.claim(c, table, identity, jobs.LEASE, waits=waits, level=level)
            caller = (
                None if job is None else read_caller(c, job.workspace_id, job.key_id, closed=table.of_closed)
            )
            if job is not None and caller is None:
                message = f"The key that made this {table.noun} was revoked, or it has expired."
                error = {"code": "invalid_token", "message": message}
                jobs.change(c, table, job.id, state="failed", error=error)
            if job is not None and caller is not None and job.key_id is None:
                caller = replace(caller, behalf=find_actor(c, table.list_begun_by(job), table.noun, job.id))
        return job is not None and work(job, caller)
    finally:
        _running.discard(identity)
