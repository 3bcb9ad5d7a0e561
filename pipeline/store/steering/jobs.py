"""Steering jobs: the filter and the verb, the claim of the worker that takes the next step, and the counts.

A job is locked while a post has its turn, so two workers that have the same job do not act on one post twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import Connection

from pipeline.domain.hold import Hold
from pipeline.domain.level import find_job_level
from pipeline.domain.steering import RAISES_GENERATION, Arguments, SteeringState, Verb
from pipeline.store.auth.keys import Caller
from pipeline.store.canaries import STEERING_LEVEL
from pipeline.store.database import build, execute, find_value, jsonb, new_id, read_column, row, rows
from pipeline.store.deliveries.ownership import restrict_files
from pipeline.store.deliveries.selection import ListFilter
from pipeline.store.jobs import JobTable
from pipeline.store.selection import Keyset, among, where

_FILTERS = TypeAdapter(ListFilter)


@dataclass(frozen=True, kw_only=True, slots=True)
class SteeringJob:
    """One job. ``counted``: when it was confirmed; ``selected``: receipts; ``turn``: posts that had their turn."""

    id: UUID
    workspace_id: UUID
    key_id: UUID | None
    verb: Verb
    arguments: Arguments
    filter: ListFilter
    token: str
    state: SteeringState
    counted: int
    selected: int
    posts: int
    done: int
    skipped: int
    turn: int
    error: Mapping[str, Any] | None
    created_at: datetime
    waits_for: Sequence[UUID]
    """Earlier jobs of the same deliveries that have not ended."""
    held_for: Hold | None
    """``newer_worker``: no running worker understands it."""
    ended_at: datetime | None


_EARLIER = """SELECT e.id FROM steering_jobs e WHERE e.id = ANY (steering_jobs.waits_for) AND e.state = 'working'
              AND steering_jobs.state = 'working'"""
_HELD_FOR = f"""CASE WHEN state IN ('selecting', 'working') AND level > 1 AND level > {STEERING_LEVEL}
                    THEN '{Hold.NEWER_WORKER}' END"""
_ENDED = "CASE WHEN state NOT IN ('selecting', 'working') THEN touched_at END"
_EXPRESSIONS = {
    "waits_for": f"ARRAY({_EARLIER}) AS waits_for",
    "held_for": f"{_HELD_FOR} AS held_for",
    "ended_at": f"{_ENDED} AS ended_at",
}
_COLUMNS = ", ".join(_EXPRESSIONS.get(name, name) for name in SteeringJob.__dataclass_fields__)


def dump_filter(chosen: ListFilter) -> dict[str, Any]:
    """Return the fields that are given, but for scope and workspace, as JSON has them; empty: it would select all."""
    found: dict[str, Any] = _FILTERS.dump_python(
        chosen, mode="json", exclude_none=True, exclude={"scope", "workspace"}
    )
    return found


def lock_jobs(c: Connection, workspace: UUID) -> None:
    """Lock the jobs of a workspace until the transaction ends: none acts, and no other is confirmed, until then."""
    row(c, "SELECT pg_advisory_xact_lock(hashtextextended(:w, 4))", w=f"steering {workspace}")
    sql = """SELECT id FROM steering_jobs WHERE workspace_id = :w AND state IN ('selecting', 'working')
             ORDER BY id FOR UPDATE"""
    execute(c, sql, w=workspace)


def create_job(
    c: Connection,
    caller: Caller,
    *,
    verb: Verb,
    arguments: Arguments,
    chosen: ListFilter,
    token: str,
    identity: UUID | None = None,
) -> UUID | None:
    """Store a job of what was counted under this token, and return its id; None if no such count is kept."""
    return find_value(
        c,
        UUID,
        """INSERT INTO steering_jobs (id, workspace_id, key_id, verb, arguments, filter, token, state, level, counted)
           SELECT :id, :w, :key, :verb, :arguments, :filter, :token, 'working', :level, cardinality(deliveries)
           FROM steering_counts WHERE workspace_id = :w AND token = :token RETURNING id""",
        id=identity or new_id(),
        w=caller.workspace_id,
        key=caller.stored_key,
        verb=verb,
        arguments=jsonb(arguments.to_dict()),
        filter=jsonb(dump_filter(chosen)),
        token=token,
        level=find_job_level(verb, dump_filter(chosen), arguments.to_dict()),
    )


def create_undo(c: Connection, caller: Caller, undone: SteeringJob) -> UUID:
    """Store the job that undoes what an ended one did, with a receipt for each delivery as that left it.

    Its token follows from the other job, so that there is one undo of each. The caller has locked the jobs.
    """
    made, arguments = new_id(), Arguments(undoes=undone.id, undone=undone.verb).to_dict()
    row(
        c,
        """WITH done AS (
               SELECT * FROM steering_receipts WHERE job_id = :undone AND outcome = 'done'
           ), job AS (
               INSERT INTO steering_jobs (id, workspace_id, key_id, verb, arguments, filter, token, state, level,
                                          counted, selected, posts)
               SELECT :id, workspace_id, :key, 'undo', :arguments, filter, :token, 'working', :level,
                      n.deliveries, n.deliveries, n.posts
               FROM steering_jobs, (SELECT count(*) AS deliveries, count(DISTINCT post_id) AS posts FROM done) n
               WHERE id = :undone
           ), receipts AS (
               INSERT INTO steering_receipts (job_id, delivery_id, post_id, due_at, generation)
               SELECT :id, delivery_id, post_id, due_at, generation + :raised FROM done
           )
           SELECT 1 AS one""",
        id=made,
        undone=undone.id,
        key=caller.stored_key,
        arguments=jsonb(arguments),
        token=_compute_undo_token(undone.id),
        level=find_job_level(Verb.UNDO, dump_filter(undone.filter), arguments),
        raised=int(undone.verb in RAISES_GENERATION),
    )
    return made


def find_undo(c: Connection, undone: SteeringJob) -> SteeringJob | None:
    """Return the job that undoes another one, whichever key asked for it; None: none does."""
    sql = f"SELECT {_COLUMNS} FROM steering_jobs WHERE workspace_id = :w AND token = :token"
    return _find(c, sql, w=undone.workspace_id, token=_compute_undo_token(undone.id))


def _find(c: Connection, sql: str, **values: Any) -> SteeringJob | None:
    found = row(c, sql, **values)
    return None if found is None else _to_job(found)


def _compute_undo_token(undone: UUID) -> str:
    return hashlib.sha256(f"undo {undone}".encode()).hexdigest()


def find_job(
    c: Connection,
    caller: Caller,
    identity: UUID | None = None,
    *,
    token: str | None = None,
    lock: bool = False,
) -> SteeringJob | None:
    """Return a job by its id or token; a key that is restricted to accounts sees its own."""
    own = restrict_files(caller)
    return _find(
        c,
        f"""SELECT {_COLUMNS} FROM steering_jobs WHERE {own} AND (id = :id OR token = :token)
            {"FOR UPDATE" if lock else ""}""",
        id=identity,
        token=token,
        **own.values,
    )


_NEWEST = Keyset({"id": "uuid"}, descending=True)


def list_jobs(
    c: Connection,
    within: Collection[UUID],
    *,
    ids: Collection[UUID] | None = None,
    caller: Caller | None = None,
    verbs: Collection[Verb] = tuple(Verb),
    after: UUID | None = None,
    limit: int,
) -> list[SteeringJob]:
    """Return a page of the jobs of these workspaces, newest first. Ended ones are kept for a while only.

    *ids*: only these; *caller*: only jobs it may see; *after*: the last one of the page before.
    """
    own = among("workspace_id", within) & among("id", ids, "ids")
    own = own if caller is None else own & restrict_files(caller)
    chosen = own & where("verb = ANY (CAST(:verbs AS text[]))", verbs=list(verbs))
    chosen = chosen & _NEWEST.start_after(None if after is None else [after])
    sql = f"SELECT {_COLUMNS} FROM steering_jobs WHERE {chosen} ORDER BY {_NEWEST.order} LIMIT :n"
    return [*map(_to_job, rows(c, sql, n=limit, **chosen.values))]


def list_waiting(c: Connection, identity: UUID) -> list[UUID]:
    """Return the jobs that wait, or waited, for a job."""
    sql = "SELECT id FROM steering_jobs WHERE state IN ('selecting', 'working') AND :id = ANY (waits_for)"
    return read_column(c, sql, id=identity)


def lock_job(c: Connection, claimed: SteeringJob) -> SteeringJob | None:
    """Lock a job and return it as it is now; None if it is in another state than when it was claimed."""
    sql = f"SELECT {_COLUMNS} FROM steering_jobs WHERE id = :id AND state = :state FOR UPDATE"
    return _find(c, sql, id=claimed.id, state=claimed.state)


KEEP_COUNTS = timedelta(hours=1)
"""For so long the token of a count starts its job."""


def delete_expired(c: Connection, keep: timedelta, limit: int) -> None:
    """Delete old counts, some receipts of ended jobs older than *keep*, then the jobs without a receipt."""
    execute(c, "DELETE FROM steering_counts WHERE made_at < now() - :keep", keep=KEEP_COUNTS)
    execute(
        c,
        """WITH old AS (SELECT id FROM steering_jobs
                        WHERE state NOT IN ('selecting', 'working') AND created_at < now() - :keep
                        ORDER BY created_at LIMIT 10),
             gone AS (SELECT job_id, delivery_id FROM steering_receipts WHERE job_id IN (SELECT id FROM old) LIMIT :n)
           DELETE FROM steering_receipts r USING gone
           WHERE r.job_id = gone.job_id AND r.delivery_id = gone.delivery_id""",
        keep=keep,
        n=limit,
    )
    sql = """DELETE FROM steering_jobs j WHERE state NOT IN ('selecting', 'working') AND created_at < now() - :keep
               AND NOT EXISTS (SELECT FROM steering_receipts r WHERE r.job_id = j.id)"""
    execute(c, sql, keep=keep)


def _to_job(found: Any) -> SteeringJob:
    return build(
        SteeringJob,
        found,
        arguments=Arguments.from_dict(found.arguments),
        filter=_FILTERS.validate_python({**found.filter, "workspace": found.workspace_id}),
    )


JOBS = JobTable(
    name="steering_jobs",
    noun="steering job",
    columns=_COLUMNS,
    to_job=_to_job,
    working=f"state IN ('selecting', 'working') AND level <= :level AND NOT EXISTS ({_EARLIER})",
    list_begun_by=lambda job: (job.verb,),
)
