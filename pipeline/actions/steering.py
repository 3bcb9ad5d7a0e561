"""Steering: count what a filter selects for a verb, then start the job that acts on it."""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.steering import AT_ONCE, WORKING, YIELDS, Arguments, SteeringState, Verb
from pipeline.recovery.restore import refuse_unresolved
from pipeline.runtime.context import Context
from pipeline.runtime.failpoint import failpoint
from pipeline.stages.post_request import Refusal
from pipeline.stages.replay import claim_key
from pipeline.store import jobs
from pipeline.store.audit import record_change
from pipeline.store.auth.keys import Caller
from pipeline.store.database import new_id
from pipeline.store.deliveries.selection import ListFilter
from pipeline.store.idempotency_keys import IdempotencyKey
from pipeline.store.steering import jobs as store
from pipeline.store.steering import receipts
from pipeline.store.steering.jobs import SteeringJob, dump_filter
from pipeline.store.steering.receipts import Count, count

NONCE = 16
"""Characters of a token that make it of one count only; the others are a digest of what was asked."""
MOST = 200_000
"""Deliveries of a job: they get their receipts while the request waits."""
COUNTS = 20
"""Counts of a caller that are kept until they are confirmed or expire."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Steering:
    """The request of a caller."""

    verb: Verb
    filter: ListFilter
    arguments: Arguments


@dataclass(frozen=True, kw_only=True, slots=True)
class Counted:
    """The answer: the count, the token that confirms it, and the job, if it was confirmed."""

    count: Count
    token: str
    job: SteeringJob | None = None


def steer(
    context: Context,
    caller: Caller,
    asked: Steering,
    *,
    token: str | None = None,
    confirm: bool = False,
    dispatch: bool = True,
    key: IdempotencyKey | None = None,
) -> Counted:
    """Count; with *confirm*, or the token of an earlier count, start the job. A token starts one job only.

    The job acts on the deliveries of its token's count, as they were counted. Without *dispatch* the caller runs it.

    Raises Refusal: 400 for an empty filter or one that selects too many, 409 plan_changed for a token of another
    request or a count that has expired, 503 while a restore of the database is not accepted; and as ``claim_key``.
    """
    refuse_unresolved(context)
    if not dump_filter(asked.filter):
        raise Refusal(
            400, "validation_failed", "The filter is empty: it would select every post. Give one condition."
        )
    nonce = secrets.token_hex(NONCE // 2) if token is None else token[:NONCE]
    current = _compute_token(caller, asked, nonce)
    if token not in (None, current):
        raise Refusal(409, "plan_changed", "The token is of another request; nothing was done. Count again.")
    with context.database.begin() as c:
        identity, known = new_id(), None
        if confirm or token is not None:
            store.lock_jobs(c, caller.workspace_id)
            known = None if token is None else store.find_job(c, caller, token=token)
            claim_key(c, key, identity if known is None else known.id)
        counted = count(c, caller, asked.verb, asked.filter, token=current if token is None else None)
        if token is None:
            _refuse_too_many(counted)
            receipts.drop_old_counts(c, caller, COUNTS)
            if not confirm:
                return Counted(count=counted, token=current)
        elif known is not None:
            return Counted(count=counted, token=token, job=known)
        job = _create(c, caller, asked, current, identity)
    failpoint("steering.stored", job.id)
    if dispatch:
        context.dispatcher.send_steering([job.id])
    return Counted(count=counted, token=current, job=job)


def find_started(context: Context, caller: Caller, identity: UUID) -> Counted | None:
    """Return the job that an earlier request started, and what its filter selects now."""
    with context.database.begin() as c:
        job = store.find_job(c, caller, identity)
        if job is None:
            return None
        return Counted(count=count(c, caller, job.verb, job.filter), token=job.token, job=job)


def stop(context: Context, caller: Caller, identity: UUID) -> SteeringJob:
    """Stop a job after the post in progress. What was done stays; a job that has ended stays as it is.

    Raises Refusal 404.
    """
    with context.database.begin() as c:
        job = require_job(c, caller, identity, lock=True)
        if job.state not in WORKING:
            return job
        stopped = jobs.change(c, store.JOBS, job.id, state=SteeringState.STOPPED)
        states = {"state": job.state}, {"state": stopped.state}
        record_change(c, caller.actor, "stop", "steering job", job.id, job.workspace_id, *states)
    dispatch_waiting(context, identity)
    return stopped


def require_job(c: Connection, caller: Caller, identity: UUID, *, lock: bool = False) -> SteeringJob:
    """Return a job that the caller sees. Raises Refusal 404."""
    job = store.find_job(c, caller, identity, lock=lock)
    if job is None:
        raise Refusal(404, "not_found", "There is no such steering job.")
    return job


def dispatch_waiting(context: Context, identity: UUID) -> None:
    """Dispatch the jobs that waited for one that has ended; if this process dies, maintenance does."""
    failpoint("steering.ended", identity)
    with context.database.begin() as c:
        found = store.list_waiting(c, identity)
    context.dispatcher.send_steering(found)


def _refuse_too_many(counted: Count) -> None:
    if counted.deliveries > MOST:
        message = (
            f"The filter selects {counted.deliveries:,} deliveries, and a job takes at most {MOST:,}. "
            "Narrow it, for example by due time, platform or account."
        )
        raise Refusal(400, "validation_failed", message)


def _create(c: Connection, caller: Caller, asked: Steering, token: str, identity: UUID) -> SteeringJob:
    """Store the job with what it selects, its place in the order, and what it takes from earlier jobs."""
    made = store.create_job(
        c,
        caller,
        verb=asked.verb,
        arguments=asked.arguments,
        chosen=asked.filter,
        token=token,
        identity=identity,
    )
    if made is None:
        raise Refusal(
            409, "plan_changed", "The count of this token has expired; nothing was done. Count again."
        )
    receipts.select(c, identity)
    if asked.verb in AT_ONCE:
        receipts.take(c, identity, YIELDS)
    else:
        receipts.wait(c, identity)
    job = require_job(c, caller, identity)
    # what becomes of each delivery is in its receipts
    said = {"filter": dump_filter(job.filter), "arguments": job.arguments.to_dict(), "counted": job.counted}
    record_change(c, caller.actor, job.verb, "steering job", job.id, job.workspace_id, after=said)
    return job


def _compute_token(caller: Caller, asked: Steering, nonce: str) -> str:
    said = [
        str(caller.key_id),
        str(caller.workspace_id),
        asked.verb,
        dump_filter(asked.filter),
        asked.arguments.to_dict(),
        nonce,
    ]
    return nonce + hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[: 64 - NONCE]
