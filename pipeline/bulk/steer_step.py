"""One step of a steering job: claim it, select deliveries or let posts have their turn, and dispatch the next.

Each post is one transaction with its receipts and the job's counts, under the lock of the job: if a worker dies
anywhere, a post was acted on and has its receipts, or neither. Maintenance dispatches the next step when no worker has
had the job for a while; a step that is dispatched twice is done once.
"""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from sqlalchemy import Connection

from pipeline.actions.edit import dispatch_first
from pipeline.bulk.steer_post import Turn, take
from pipeline.context import Context
from pipeline.domain.steering import OF_DEAD_LETTERS, SteeringState
from pipeline.failpoint import failpoint
from pipeline.store import jobs
from pipeline.store.audit import find_actor
from pipeline.store.auth.keys import Caller, read_caller
from pipeline.store.steering import jobs as store
from pipeline.store.steering import receipts
from pipeline.store.steering.jobs import SteeringJob

DELIVERIES = 1_000
"""Selected by one step."""
POSTS = 100
"""That have their turn in one step."""


def run_steering_step(context: Context, identity: UUID) -> None:
    """Do the next step of a job, if it has one that no other worker does, and dispatch the one after it."""
    if _take_step(context, identity):
        context.dispatcher.send_steering([identity])


def run_whole_job(context: Context, identity: UUID) -> None:
    """Do all steps of a small job that was not dispatched. If this process dies, maintenance dispatches the rest."""
    while _take_step(context, identity):
        pass


def _take_step(context: Context, identity: UUID) -> bool:
    """Do the next step; False if there is none, or another worker does it.

    There is none while a restore of the database is not accepted.
    """
    if context.send_guard.find_doubt() is not None:
        return False
    with jobs.begin_step(context.database) as c:
        job = store.claim_job(c, identity, jobs.LEASE)
        caller = None if job is None else _read_caller(c, job)
        if job is not None and caller is None:
            error = {
                "code": "invalid_token",
                "message": "The key that made this job was revoked, or it has expired.",
            }
            jobs.change(c, store.JOBS, job.id, state=SteeringState.FAILED, error=error)
    if job is None or caller is None:
        return False
    failpoint("steering.claimed", identity)
    if job.state is SteeringState.SELECTING:
        _select(context, job, caller)
    else:
        _work(context, job, caller)
    return True


def _read_caller(c: Connection, job: SteeringJob) -> Caller | None:
    """Return whom the job acts for. What is done to a dead letter has its own record of who did it."""
    caller = read_caller(c, job.workspace_id, job.key_id)
    if caller is None or job.verb not in OF_DEAD_LETTERS:
        return caller
    return replace(caller, actor=find_actor(c, job.verb, "steering job", job.id))


def _select(context: Context, claimed: SteeringJob, caller: Caller) -> None:
    with jobs.begin_step(context.database) as c:
        job = store.lock_job(c, claimed)
        if job is None:
            return
        chosen = receipts.select(c, caller, job, DELIVERIES)
        selected = job.selected + len(chosen)
        failpoint("steering.selecting", job.id)
        if len(chosen) == DELIVERIES:
            jobs.change(c, store.JOBS, job.id, selected=selected, position=chosen[-1])
        else:
            posts = receipts.count_posts(c, job.id)
            jobs.change(c, store.JOBS, job.id, selected=selected, posts=posts, state=SteeringState.WORKING)
    failpoint("steering.selected", claimed.id)


def _work(context: Context, claimed: SteeringJob, caller: Caller) -> None:
    with jobs.begin_step(context.database) as c:
        posts = receipts.list_open_posts(c, claimed.id, POSTS)
    for post in posts:
        _steer_post(context, claimed, caller, post)
    with jobs.begin_step(context.database) as c:
        job = store.lock_job(c, claimed)
        if job is not None and job.done + job.skipped == job.selected:
            jobs.change(c, store.JOBS, job.id, state=SteeringState.DONE)
        elif job is not None:
            jobs.change(c, store.JOBS, job.id)


def _steer_post(context: Context, claimed: SteeringJob, caller: Caller, post: UUID) -> None:
    with jobs.begin_step(context.database) as c:
        job = store.lock_job(c, claimed)
        found = [] if job is None else receipts.list_open(c, claimed.id, post)
        if claimed.verb in OF_DEAD_LETTERS:
            found = found[:1]  # checks are locked before the post: the next step has the post's next letter
        if job is None or not found:
            return  # another worker was faster
        turn = take(Turn(context=context, c=c, caller=caller, job=job, post_id=post, receipts=found))
        receipts.settle(c, job.id, turn.why)
        done = sum(why is None for why in turn.why.values())
        skipped = job.skipped + len(turn.why) - done
        jobs.change(
            c, store.JOBS, job.id, jobs.LEASE, done=job.done + done, skipped=skipped, turn=job.turn + 1
        )
        failpoint("steering.working", post)
    failpoint("steering.worked", post)
    context.dispatcher.send_checks(turn.checks, bulk=True)
    dispatch_first(context, turn.firsts)
