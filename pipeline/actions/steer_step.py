"""One step of a steering job (``runtime/job_loop.py``): let posts have their turn, then dispatch what waited for it.

Each post is one transaction with its receipts and the job's counts, under the lock of the job: if a worker dies
anywhere, a post was acted on and has its receipts, or neither.

The turn of a post acts on its selected deliveries, or says why not; a verb of dead letters acts on one delivery in each
turn. Nothing that is or may be live is touched.

The undo of a job acts on what that did: a cancel and a reschedule are undone by an edit, a pause by a resume of what it
paused, a resume by the pause that there was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from pipeline.actions import dead_letters, edit
from pipeline.actions.approve import approve_locked
from pipeline.actions.cancel_delete_retry import TRIES, cancel_deliveries, refuse_sending_again, retry_within
from pipeline.actions.dead_letters import Skipped
from pipeline.actions.edit import dispatch_first
from pipeline.actions.edit_plan import move_singly
from pipeline.actions.post_changes import Change, Undoing
from pipeline.actions.steer_turn import (
    CHANGED,
    CLAIMED,
    IN_FLIGHT,
    LATE,
    PARTS,
    Turn,
    choose,
    list_same,
    read,
    skip,
)
from pipeline.actions.steering import Steering, dispatch_waiting, steer, stop
from pipeline.domain.audit import Actor
from pipeline.domain.delivery import SETTLED, State
from pipeline.domain.post import IMMEDIATE, NO_TIME
from pipeline.domain.posting_times import AutoTime
from pipeline.domain.steering import HAS_UNDO, OF_DEAD_LETTERS, WORKING, SteeringState, Verb
from pipeline.runtime.context import Context
from pipeline.runtime.failpoint import failpoint
from pipeline.runtime.job_loop import run_step
from pipeline.stages.post_request import Refusal
from pipeline.stages.post_state import is_in_flight
from pipeline.store import jobs
from pipeline.store.audit import find_actor
from pipeline.store.auth.keys import Caller
from pipeline.store.deliveries.ownership import Scope
from pipeline.store.posts.actions import LockedDelivery, LockedPost
from pipeline.store.posts.approvals import demand_approval
from pipeline.store.steering import jobs as store
from pipeline.store.steering import receipts
from pipeline.store.steering.jobs import SteeringJob
from pipeline.store.steering.receipts import pause_again, pause_deliveries, resume_deliveries


def take(turn: Turn) -> Turn:
    """Act on the post; afterwards each receipt has its word in ``why``."""
    try:
        _VERBS[turn.job.verb](turn)
    except Refusal as refusal:  # the verb's savepoint is rolled back, so nothing of it is stored
        skip(turn, [r.delivery_id for r in turn.receipts], f"{refusal.code}: {refusal.message}")
    return turn


# --- verbs that act on each delivery ---------------------------------------------------------------------------------


def _cancel(turn: Turn) -> None:
    if (post := read(turn, lock=True)) is not None:
        chosen = choose(turn, list_same(turn, post), is_in_flight, IN_FLIGHT)
        cancel_deliveries(turn.context, turn.c, post, chosen)


def _pause(turn: Turn) -> None:
    if (post := read(turn, lock=True)) is not None:
        waiting = choose(turn, list_same(turn, post), is_in_flight, IN_FLIGHT)
        # its worker may have looked for pauses already: whether this one still holds it back is not known
        chosen = choose(turn, waiting, lambda part: part.state is State.PUBLISHING, CLAIMED)
        if turn.job.verb is Verb.UNDO:
            paused = pause_again(turn.c, turn.befores, [p.id for p in chosen])
            choose(turn, chosen, lambda part: part.id not in paused, CHANGED)
            return
        why = turn.job.arguments.why or f"steering job {turn.job.id}"
        pause_deliveries(turn.c, [p.id for p in chosen], turn.job.id, why)


def _resume(turn: Turn) -> None:
    if (post := read(turn, lock=True)) is not None:
        undone, soon = turn.job.arguments.undoes, post.now + IMMEDIATE
        same = list_same(turn, post)
        refuse_sending_again(turn.caller, post, same)
        demand_approval(turn.c, turn.caller, [post.id])
        chosen = choose(turn, same, lambda part: undone is not None and part.due_at <= soon, LATE)
        turn.firsts, lifted = [post.now], resume_deliveries(turn.c, [p.id for p in chosen], only=undone)
        choose(turn, chosen, lambda part: part.id not in lifted, CHANGED)


def _approve(turn: Turn) -> None:
    """Approve the post as it was counted: whatever it sends was selected, and nothing of it was changed since."""
    if (post := read(turn, lock=True)) is not None:
        same = list_same(turn, post)
        if {p.id for p in post.deliveries if p.state not in SETTLED} == {p.id for p in same}:
            approve_locked(turn.c, turn.caller, post, None)
            turn.firsts = [post.now]
            turn.why |= dict.fromkeys(p.id for p in same)
        skip(turn, [p.id for p in same], PARTS)


# --- verbs that also lock the post's checks, which come before the post in the lock order ----------------------------


def _retry(turn: Turn) -> None:
    def work(post: LockedPost, same: Sequence[LockedDelivery]) -> bool:
        requested = [p.account_id for p in same]
        done = retry_within(turn.context, turn.c, turn.caller, turn.post_id, requested)
        if done is None:
            return False
        left = {p.id: done.left[p.account_id] for p in same if p.account_id in done.left}
        turn.why |= {p.id: left.get(p.id) for p in same}
        turn.checks, turn.firsts = done.undecided, [post.now]
        return True

    _try(turn, work)


def _reschedule(turn: Turn) -> None:
    def work(post: LockedPost, same: Sequence[LockedDelivery]) -> bool:
        if post.due_at >= NO_TIME and turn.job.verb is not Verb.UNDO:
            skip(turn, [p.id for p in same], "It is a draft: POST /posts/{id}/schedule gives it a time.")
            return True
        moving = {p.id for p in post.deliveries if p.state not in {State.PUBLISHED, State.CANCELLED}}
        if moving != {p.id for p in same}:
            skip(turn, [p.id for p in same], CHANGED if turn.job.verb is Verb.UNDO else PARTS)
            return True
        if turn.job.arguments.to_times:
            return _edit(turn, same, Change(given=frozenset({"scheduled_at"}), auto=AutoTime()))
        if turn.job.verb is Verb.UNDO:
            undoes = Undoing(befores={one: turn.befores[one] for one in moving})
            if len({part.due_at - turn.befores[part.id].due_at for part in same}) > 1:
                return _edit(turn, same, move_singly(post, undoes))
            earlier = max(before.due_at for before in undoes.befores.values())
            due_at = post.due_at + (earlier - max(p.due_at for p in post.deliveries if p.id in moving))
        else:
            undoes, due_at = None, turn.job.arguments.compute_due(post.due_at, turn.job.turn, turn.job.posts)
        change = Change(given=frozenset({"scheduled_at"}), scheduled_at=due_at, shifts=True, undoes=undoes)
        return _edit(turn, same, change)

    _try(turn, work)


def _restore(turn: Turn) -> None:
    def work(_: LockedPost, same: Sequence[LockedDelivery]) -> bool:
        befores = {part.id: turn.befores[part.id] for part in same}
        undoes = Undoing(befores=befores, restores=frozenset(befores))
        return _edit(turn, same, Change(given=frozenset(), undoes=undoes))

    _try(turn, work)


def _edit(turn: Turn, same: Sequence[LockedDelivery], change: Change) -> bool:
    """Edit the post, which moves these deliveries; False if it changed concurrently."""
    done = edit.edit_within(turn.context, turn.c, turn.caller, turn.post_id, change)
    if done is not None:
        turn.firsts, turn.checks = done
        turn.why |= dict.fromkeys(part.id for part in same)
    return done is not None


def _try(turn: Turn, work: Callable[[LockedPost, Sequence[LockedDelivery]], bool]) -> None:
    """Read the post, do the work in a savepoint, and undo it if the post changed between the two."""
    before = dict(turn.why)
    for _ in range(TRIES):
        turn.why = dict(before)
        if (post := read(turn, lock=False)) is None or not (same := list_same(turn, post)):
            return
        with turn.c.begin_nested() as savepoint:
            is_done = work(post, same)
            raised = {p.id: p.generation + 1 for p in same if turn.why.get(p.id, "") is None}
            if is_done and receipts.has_generation(turn.c, raised):
                return
            savepoint.rollback()
    turn.why, turn.firsts, turn.checks = before, (), ()
    skip(turn, [r.delivery_id for r in turn.receipts], CHANGED)


# --- verbs of dead letters -------------------------------------------------------------------------------------------


def _replay(turn: Turn) -> None:
    def work(*letter: Any) -> None:
        pace = turn.job.arguments.per_minute
        turn.checks = dead_letters.replay_within(turn.context, turn.c, turn.caller, *letter, per_minute=pace)

    _deal(turn, work)


def _discard(turn: Turn) -> None:
    why = turn.job.arguments.why or f"steering job {turn.job.id}"
    _deal(turn, lambda *given: dead_letters.discard_within(turn.context, turn.c, *given, why=why))


def _deal(turn: Turn, work: Callable[[Scope, UUID, Actor], None]) -> None:
    """Deal with the one dead letter of a turn as it was selected, or leave it, in the name of who confirmed the job."""
    [receipt] = turn.receipts
    actor = turn.caller.actor or Actor(kind="system", name=f"steering job {turn.job.id}")
    scope = Scope(
        workspace=turn.job.workspace_id, accounts=turn.caller.accounts, generation=receipt.generation
    )
    try:
        with turn.c.begin_nested():
            work(scope, receipt.delivery_id, actor)
    except (Skipped, Refusal) as reason:
        skip(turn, [receipt.delivery_id], str(reason))
    else:
        turn.why[receipt.delivery_id] = None


# --- the undo of a job -----------------------------------------------------------------------------------------------


def _undo(turn: Turn) -> None:
    arguments = turn.job.arguments
    if arguments.undoes is None or arguments.undone is None:
        raise LookupError(f"The undo {turn.job.id} does not name the job that it undoes.")
    turn.befores = receipts.read_befores(turn.c, arguments.undoes, [r.delivery_id for r in turn.receipts])
    _UNDOES[arguments.undone](turn)


_UNDOES: Mapping[Verb, Callable[[Turn], None]] = {
    Verb.CANCEL: _restore,
    Verb.RESCHEDULE: _reschedule,
    Verb.PAUSE: _resume,
    Verb.RESUME: _pause,
}
"""What undoes a verb."""
_VERBS: Mapping[Verb, Callable[[Turn], None]] = {
    Verb.CANCEL: _cancel,
    Verb.RETRY: _retry,
    Verb.RESCHEDULE: _reschedule,
    Verb.PAUSE: _pause,
    Verb.RESUME: _resume,
    Verb.REPLAY: _replay,
    Verb.DISCARD: _discard,
    Verb.UNDO: _undo,
    Verb.APPROVE: _approve,
}


POSTS = 100
"""That have their turn in one step."""


def run_steering_step(context: Context, identity: UUID) -> None:
    """Do the next step of a job, if it has one that no other worker does, and dispatch the one after it."""
    if _take_step(context, identity):
        context.dispatcher.send_steering([identity])


def run_at_once(context: Context, caller: Caller, asked: Steering) -> dict[UUID, str | None]:
    """Do all steps of a job here; return why each delivery was skipped, None for one that was done.

    If this process dies, maintenance dispatches the rest; Ctrl-C stops the job. Raises Refusal as ``steer``.
    """
    job = steer(context, caller, asked, confirm=True, dispatch=False).job
    if job is None:
        raise LookupError("A confirmed steering has no job.")
    # the transaction that stores another job locks this one briefly, and no message dispatches it again
    try:
        while _take_step(context, job.id, waits=True):
            pass
    except KeyboardInterrupt:
        stop(context, caller, job.id)
        raise
    with context.database.begin() as c:
        found = receipts.list_receipts(c, job.id, limit=job.selected)
        ended = store.find_job(c, caller, job.id) or job
    left = f"post_in_flight: Job {job.id} does it after an earlier one of the same deliveries."
    if ended.state not in WORKING:
        left = f"{ended.state}: Job {job.id} ended before its turn."
    return {one.delivery_id: one.why if one.outcome else left for one in found}


def _take_step(context: Context, identity: UUID, *, waits: bool = False) -> bool:
    """Do the next step; False if there is none, another worker does it, or it is for newer ones.

    There is none while a restore of the database is not accepted.
    """

    def work(job: SteeringJob, caller: Caller | None) -> bool:
        if caller is None:
            dispatch_waiting(context, identity)
            return False
        failpoint("steering.claimed", identity)
        return _work(context, job, caller)

    if context.send_guard.find_doubt() is not None:
        return False
    return run_step(context.database, store.JOBS, identity, work, waits=waits, level=context.level)


def _work(context: Context, claimed: SteeringJob, caller: Caller) -> bool:
    """Let some posts have their turn; False if the job has ended with them."""
    with jobs.begin_step(context.database) as c:
        posts = receipts.list_open_posts(c, claimed.id, POSTS)
        if claimed.verb in OF_DEAD_LETTERS:  # an action on a dead letter has its own record of who did it
            caller = replace(
                caller, actor=find_actor(c, store.JOBS.list_begun_by(claimed), "steering job", claimed.id)
            )
    for post in posts:
        _steer_post(context, claimed, caller, post)
    with jobs.begin_step(context.database) as c:
        job = store.lock_job(c, claimed)
        is_done = job is not None and job.done + job.skipped == job.selected
        if job is not None:
            jobs.change(c, store.JOBS, job.id, state=SteeringState.DONE if is_done else job.state)
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
        receipts.settle(c, job.id, turn.why, turn.befores if job.verb in HAS_UNDO else {})
        done = sum(why is None for why in turn.why.values())
        skipped = job.skipped + len(turn.why) - done
        receipts.carry(c, job.id, [one for one, why in turn.why.items() if why is None])
        jobs.change(
            c, store.JOBS, job.id, jobs.LEASE, done=job.done + done, skipped=skipped, turn=job.turn + 1
        )
        failpoint("steering.working", post)
    failpoint("steering.worked", post)
    context.dispatcher.send_checks(turn.checks, bulk=True)
    dispatch_first(context, turn.firsts)
