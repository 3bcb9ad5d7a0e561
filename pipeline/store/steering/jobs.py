"""Steering jobs: the filter and the verb, the claim of the worker that takes the next step, and the counts.

A job is locked while a post has its turn, so two workers that have the same job do not act on one post twice.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import Connection

from pipeline.domain.steering import Arguments, SteeringState, Verb
from pipeline.store import jobs
from pipeline.store.auth.keys import Caller
from pipeline.store.database import jsonb, new_id, row, rows
from pipeline.store.deliveries.listing import ListFilter
from pipeline.store.deliveries.ownership import restrict_files
from pipeline.store.jobs import JobTable

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
    state: SteeringState
    counted: int
    selected: int
    posts: int
    done: int
    skipped: int
    position: UUID | None
    turn: int
    error: Mapping[str, Any] | None
    created_at: datetime


_COLUMNS = ", ".join(SteeringJob.__dataclass_fields__)
JOBS = JobTable(name="steering_jobs", columns=_COLUMNS, working="state IN ('selecting', 'working')")


def dump_filter(chosen: ListFilter) -> dict[str, Any]:
    """Return the fields that are given, but for the workspace, as JSON has them; empty: it would select all."""
    found: dict[str, Any] = _FILTERS.dump_python(
        chosen, mode="json", exclude_none=True, exclude={"workspace"}
    )
    return found


def create_job(
    c: Connection,
    caller: Caller,
    *,
    verb: Verb,
    arguments: Arguments,
    chosen: ListFilter,
    token: str,
    counted: int,
) -> UUID | None:
    """Store a job and return its id; None if there is one of this token by now."""
    found = row(
        c,
        """INSERT INTO steering_jobs (id, workspace_id, key_id, verb, arguments, filter, token, counted)
           VALUES (:id, :w, :key, :verb, :arguments, :filter, :token, :counted) ON CONFLICT DO NOTHING RETURNING id""",
        id=new_id(),
        w=caller.workspace_id,
        key=caller.stored_key,
        verb=verb,
        arguments=jsonb(arguments.to_dict()),
        filter=jsonb(dump_filter(chosen)),
        token=token,
        counted=counted,
    )
    identity: UUID | None = None if found is None else found.id
    return identity


def find_job(
    c: Connection, caller: Caller, identity: UUID | None = None, *, token: str | None = None
) -> SteeringJob | None:
    """Return a job by its id or token; a key that is restricted to accounts sees its own."""
    within, bound = restrict_files(caller.accounts, caller.key_id)
    found = row(
        c,
        f"SELECT {_COLUMNS} FROM steering_jobs WHERE workspace_id = :w AND (id = :id OR token = :token) AND {within}",
        id=identity,
        token=token,
        w=caller.workspace_id,
        **bound,
    )
    return None if found is None else _to_job(found)


def list_jobs(
    c: Connection, within: Collection[UUID], *, ids: Collection[UUID] | None = None, limit: int
) -> list[SteeringJob]:
    """Return the jobs of these workspaces, newest first; *ids*: only these. Ended ones are kept for a while only."""
    found = rows(
        c,
        f"""SELECT {_COLUMNS} FROM steering_jobs WHERE workspace_id = ANY (CAST(:within AS uuid[]))
              AND (CAST(:ids AS uuid[]) IS NULL OR id = ANY (CAST(:ids AS uuid[]))) ORDER BY id DESC LIMIT :n""",
        within=list(within),
        ids=None if ids is None else list(ids),
        n=limit,
    )
    return [*map(_to_job, found)]


def claim_job(c: Connection, identity: UUID, lease: timedelta) -> SteeringJob | None:
    """Claim the next step of a job; None if there is none, or another worker has it."""
    found = jobs.claim(c, JOBS, identity, lease)
    return None if found is None else _to_job(found)


def lock_job(c: Connection, claimed: SteeringJob) -> SteeringJob | None:
    """Lock a job and return it as it is now; None if it is in another state than when it was claimed."""
    sql = f"SELECT {_COLUMNS} FROM steering_jobs WHERE id = :id AND state = :state FOR UPDATE"
    found = row(c, sql, id=claimed.id, state=claimed.state)
    return None if found is None else _to_job(found)


def delete_expired(c: Connection, keep: timedelta, limit: int) -> None:
    """Delete some receipts of ended jobs older than *keep*, then the jobs without a receipt."""
    rows(
        c,
        """WITH old AS (SELECT id FROM steering_jobs WHERE state IN ('done', 'failed') AND created_at < now() - :keep
                        ORDER BY created_at LIMIT 10),
             gone AS (SELECT job_id, delivery_id FROM steering_receipts WHERE job_id IN (SELECT id FROM old) LIMIT :n)
           DELETE FROM steering_receipts r USING gone
           WHERE r.job_id = gone.job_id AND r.delivery_id = gone.delivery_id RETURNING r.job_id""",
        keep=keep,
        n=limit,
    )
    rows(
        c,
        """DELETE FROM steering_jobs j WHERE state IN ('done', 'failed') AND created_at < now() - :keep
             AND NOT EXISTS (SELECT FROM steering_receipts r WHERE r.job_id = j.id) RETURNING id""",
        keep=keep,
    )


def _to_job(found: Any) -> SteeringJob:
    values = found._asdict()
    return SteeringJob(
        **{
            **values,
            "verb": Verb(values["verb"]),
            "arguments": Arguments.from_dict(values["arguments"]),
            "filter": _FILTERS.validate_python({**values["filter"], "workspace": values["workspace_id"]}),
            "state": SteeringState(values["state"]),
        }
    )
