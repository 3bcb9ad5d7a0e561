"""Steering: count what a filter selects for a verb, then start the job that acts on it."""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass

from sqlalchemy import Connection

from pipeline.context import Context
from pipeline.domain.steering import Arguments, Verb
from pipeline.failpoint import failpoint
from pipeline.recovery.restore import refuse_in_doubt
from pipeline.stages.post_request import Refusal
from pipeline.store.audit import record_change
from pipeline.store.auth.keys import Caller
from pipeline.store.deliveries.listing import ListFilter
from pipeline.store.steering import jobs as store
from pipeline.store.steering.jobs import SteeringJob, dump_filter
from pipeline.store.steering.receipts import Count, count

NONCE = 16
"""Characters of a token that make it of one count only; the others are a digest of what was asked and counted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Steering:
    """What a person asks for."""

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
) -> Counted:
    """Count; with *confirm*, or the token of an earlier count, start the job. A token starts one job only.

    Without *dispatch* the caller runs the job itself.

    Raises Refusal: 400 for an empty filter, 409 plan_changed when the count is another one than the token's, 503 while
    a restore of the database is not accepted.
    """
    _refuse_at_once(context, asked)
    with context.database.begin() as c:
        counted = count(c, caller, asked.verb, asked.filter)
        if token is not None and (known := store.find_job(c, caller, token=token)) is not None:
            return Counted(count=counted, token=token, job=known)
        nonce = secrets.token_hex(NONCE // 2) if token is None else token[:NONCE]
        current = _compute_token(caller, asked, counted, nonce)
        if token is not None and token != current:
            raise _refuse_other_count(counted)
        if token is None and not confirm:
            return Counted(count=counted, token=current)
        job = _create(c, caller, asked, counted, current)
    failpoint("steering.stored", job.id)
    if dispatch:
        context.dispatcher.send_steering([job.id])
    return Counted(count=counted, token=current, job=job)


def offer(context: Context, caller: Caller, asked: Steering, counted: Count) -> Counted:
    """Return a count that was made already with the token that confirms it. Raises Refusal as ``steer``."""
    _refuse_at_once(context, asked)
    token = _compute_token(caller, asked, counted, secrets.token_hex(NONCE // 2))
    return Counted(count=counted, token=token)


def _refuse_at_once(context: Context, asked: Steering) -> None:
    refuse_in_doubt(context)
    if not dump_filter(asked.filter):
        raise Refusal(
            400, "validation_failed", "The filter is empty: it would select every post. Give one condition."
        )


def _create(c: Connection, caller: Caller, asked: Steering, counted: Count, token: str) -> SteeringJob:
    identity = store.create_job(
        c,
        caller,
        verb=asked.verb,
        arguments=asked.arguments,
        chosen=asked.filter,
        token=token,
        counted=counted.deliveries,
    )
    job = store.find_job(c, caller, identity, token=token)
    if job is None:
        raise LookupError("The job is not there after it was stored.")
    if identity is not None:
        _record(c, caller, job)
    return job


def _record(c: Connection, caller: Caller, job: SteeringJob) -> None:
    """Record the job, in its transaction; what becomes of each delivery is in its receipts."""
    asked = {"filter": dump_filter(job.filter), "arguments": job.arguments.to_dict(), "counted": job.counted}
    record_change(c, caller.actor, job.verb, "steering job", job.id, job.workspace_id, after=asked)


def _compute_token(caller: Caller, asked: Steering, counted: Count, nonce: str) -> str:
    said = [
        str(caller.key_id),
        str(caller.workspace_id),
        asked.verb,
        dump_filter(asked.filter),
        asked.arguments.to_dict(),
        dict(counted.states),
        counted.posts,
        nonce,
    ]
    return nonce + hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[: 64 - NONCE]


def _refuse_other_count(counted: Count) -> Refusal:
    states = ", ".join(f"{n:,} {state}" for state, n in counted.states.items()) or "none"
    message = (
        f"The token is of another request or count; nothing was done. The filter selects {counted.deliveries:,} "
        f"deliveries of {counted.posts:,} posts now ({states}). Count again."
    )
    return Refusal(409, "plan_changed", message)
