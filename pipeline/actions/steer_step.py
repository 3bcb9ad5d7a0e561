"""One step of a steering job: claim it, let posts have their turn, and dispatch the next, or the jobs that waited.

Each post is one transaction with its receipts and the job's counts, under the lock of the job: if a worker dies
anywhere, a post was acted on and has its receipts, or neither. Maintenance dispatches the next step when no worker has
had the job for a while; a step that is dispatched twice is done once.
"""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from sqlalchemy import Connection

from pipeline.actions.edit import dispatch_first
from pipeline.actions.steer_post import Turn, take
from pipeline.actions.steering import dispatch_waiting
from pipeline.domain.steering import OF_DEAD_LETTERS, SteeringState
from pipeline.runtime.context import Context
from pipeline.runtime.failpoint import failpoint
from pipeline.store import jobs
from pipeline.store.audit import find_actor
from pipeline.store.auth.keys import Caller, read_caller
from pipeline.store.steering import jobs as store
from pipeline.store.steering import receipts
from pipeline.store.steering.jobs import SteeringJob

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
            store.change(c, job.id, state=SteeringState.FAILED, error=_REVOKED)
    if job is None:
        return False
    if caller is None:
        dispatch_waiting(context, identity)
        return False
    failpoint("steering.claimed", identity)
    return _work(context, job, caller)


_REVOKED = {"code": "invalid_token", "message": "The key that made this job was revoked, or it has expired."}


def _read_caller(c: Connection, job: SteeringJob) -> Caller | None:
    """Return whom the job acts for. An action on a dead letter has its own record of who did it."""
    caller = read_caller(c, job.workspace_id, job.key_id)
    if caller is None or job.verb not in OF_DEAD_LETTERS:
        return caller
    return replace(caller, actor=find_actor(c, job.verb, "steering job", job.id))


def _work(context: Context, claimed: SteeringJob, caller: Caller) -> bool:
    """Let some posts have their turn; False if the job has ended with them."""
    with jobs.begin_step(context.database) as c:
        posts = receipts.list_open_posts(c, claimed.id, POSTS)
    for post in posts:
        _steer_post(context, claimed, caller, post)
    with jobs.begin_step(context.database) as c:
        job = store.lock_job(c, claimed)
        is_done = job is not None and job.done + job.skipped == job.selected
        if job is not None:
            store.change(c, job.id, state=SteeringState.DONE if is_done else job.state)
    if is_done:
        dispatch_waiting(context, claimed.id)
    return not is_done and job is not None


def _steer_post(context: Context, claimed: SteeringJob, caller: Caller, post: UUID) -> None:
    with jobs.begin_step(context.database) as c:
        job = store.lock_job(c, claimed)
        found = [] if job is None else receipts.list_open(c, claimed.id, post)
        if claimed.verb in OF_DEAD_LETTERS:
            found = found[:1]  # locks checks before the post: the next step has the post's next dead letter
        if job is None or not found:
            return  # another worker was faster
        turn = take(Turn(context=context, c=c, caller=caller, job=job, post_id=post, receipts=found))
        receipts.settle(c, job.id, turn.why)
        done = sum(why is None for why in turn.why.values())
        skipped = job.skipped + len(turn.why) - done
        receipts.carry(c, job.id, [one for one, why in turn.why.items() if why is None])
        store.change(c, job.id, jobs.LEASE, done=job.done + done, skipped=skipped, turn=job.turn + 1)
        failpoint("steering.working", post)
    failpoint("steering.worked", post)
    context.dispatcher.send_checks(turn.checks, bulk=True)
    dispatch_first(context, turn.firsts)
