"""One step of a steering job (``runtime/job_loop.py``): let posts have their turn, then dispatch what waited for it.

Each post is one transaction with its receipts and the job's counts, under the lock of the job: if a worker dies
anywhere, a post was acted on and has its receipts, or neither.

The turn of a post acts on its selected deliveries, or says why not; a verb of dead letters acts on one delivery in each
turn. Nothing that is or may be live is touched. A delivery that was edited, canceled, retried or settled since it was
counted is skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from pipeline.actions import dead_letters, edit
from pipeline.actions.cancel_delete_retry import TRIES, cancel_deliveries, retry_within
from pipeline.actions.dead_letters import NO_LETTER, Skipped
from pipeline.actions.edit import dispatch_first
from pipeline.actions.post_changes import Change
from pipeline.actions.steering import Steering, dispatch_waiting, steer, stop
from pipeline.domain.audit import Actor
from pipeline.domain.delivery import State
from pipeline.domain.steering import AT_ONCE, OF_DEAD_LETTERS, WORKING, SteeringState, Verb
from pipeline.recovery.restore import explain_doubt
from pipeline.runtime.context import Context
from pipeline.runtime.failpoint import failpoint
from pipeline.runtime.job_loop import run_step
from pipeline.stages.post_request import Refusal
from pipeline.stages.post_state import is_in_flight
from pipeline.store import jobs
from pipeline.store.audit import find_actor
from pipeline.store.auth.keys import Caller, read_caller
from pipeline.store.deliveries.dead_letters import list_workspaces
from pipeline.store.deliveries.ownership import Scope
from pipeline.store.posts import actions as posts
from pipeline.store.posts.actions import LockedDelivery, LockedPost
from pipeline.store.steering import jobs as store
from pipeline.store.steering import receipts
from pipeline.store.steering.jobs import SteeringJob
from pipeline.store.steering.receipts import Receipt, pause_deliveries, resume_deliveries

GONE = "not_found: The post was deleted since it was counted."
CHANGED = "changed: It was edited, canceled, retried, or moved on since it was counted."
FAILED = "failed: It has failed, so nothing of it is sent; no earlier job retries it."
IN_FLIGHT = "post_in_flight: It is being sent, or may be live already."
CLAIMED = "post_in_flight: A worker has it now. Repeat the pause."
PARTS = (
    "partial: The post also goes to accounts that the filter does not select, or that failed, and it has one time. "
    "Edit the post."
)


@dataclass(kw_only=True, slots=True)
class Turn:
    """One post of a job, and what came of it."""

    context: Context
    c: Connection
    caller: Caller
    job: SteeringJob
    """As it is in this transaction: ``turn`` is the number of posts before this one."""
    post_id: UUID
    receipts: Sequence[Receipt]
    why: dict[UUID, str | None] = field(default_factory=dict)
    """By delivery: the reason it was skipped; None: it was done."""
    firsts: Sequence[datetime] = ()
    """When work on its deliveries starts."""
    checks: Sequence[UUID] = ()
    """To be sent after the commit."""


def take(turn: Turn) -> Turn:
    """Act on the post; afterwards each receipt has its word in ``why``."""
    try:
        _VERBS[turn.job.verb](turn)
    except Refusal as refusal:  # the verb's savepoint is rolled back, so nothing of it is stored
        _skip(turn, [r.delivery_id for r in turn.receipts], f"{refusal.code}: {refusal.message}")
    return turn


def _skip(turn: Turn, ids: Sequence[UUID], why: str) -> None:
    for identity in ids:
        turn.why.setdefault(identity, why)


def _list_same(turn: Turn, post: LockedPost) -> list[LockedDelivery]:
    """Return the selected deliveries that are as they were; the others are skipped."""
    matching = receipts.list_matching(turn.c, turn.caller, turn.job, turn.post_id)
    known = {r.delivery_id: r.generation for r in turn.receipts}
    same = [p for p in post.deliveries if p.id in matching and known.get(p.id) == p.generation]
    if turn.job.verb in AT_ONCE:
        _skip(turn, [p.id for p in post.deliveries if p.id in known and p.state is State.FAILED], FAILED)
    _skip(turn, [*known.keys() - {p.id for p in same}], CHANGED)
    return same


def _read(turn: Turn, *, lock: bool) -> LockedPost | None:
    post = posts.read(
        turn.c, turn.caller.workspace_id, turn.post_id, lock=lock, accounts=turn.caller.accounts
    )
    if post is None:
        _skip(turn, [r.delivery_id for r in turn.receipts], GONE)
    return post


# --- verbs that act on each delivery ---------------------------------------------------------------------------------


def _cancel(turn: Turn) -> None:
    if (post := _read(turn, lock=True)) is not None:
        chosen = _choose(turn, _list_same(turn, post), is_in_flight, IN_FLIGHT)
        cancel_deliveries(turn.context, turn.c, post, chosen)


def _pause(turn: Turn) -> None:
    if (post := _read(turn, lock=True)) is not None:
        waiting = _choose(turn, _list_same(turn, post), is_in_flight, IN_FLIGHT)
        # its worker may have looked for pauses already: whether this one still holds it back is not known
        chosen = _choose(turn, waiting, lambda part: part.state is State.PUBLISHING, CLAIMED)
        why = turn.job.arguments.why or f"steering job {turn.job.id}"
        pause_deliveries(turn.c, [p.id for p in chosen], turn.job.id, why)


def _resume(turn: Turn) -> None:
    if (post := _read(turn, lock=True)) is not None:
        chosen = _choose(turn, _list_same(turn, post), lambda _: False, "")
        resume_deliveries(turn.c, [p.id for p in chosen])
        turn.firsts = [post.now]


def _choose(
    turn: Turn, parts: Sequence[LockedDelivery], is_obstacle: Callable[[LockedDelivery], bool], why: str
) -> list[LockedDelivery]:
    """Return the parts without the obstacle; they count as done unless a later word says otherwise."""
    chosen = [p for p in parts if not is_obstacle(p)]
    for part in parts:
        turn.why[part.id] = why if is_obstacle(part) else None
    return chosen


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
        moving = {p.id for p in post.deliveries if p.state not in {State.PUBLISHED, State.CANCELLED}}
        if moving != {p.id for p in same}:
            _skip(turn, [p.id for p in same], PARTS)
            return True
        due_at = turn.job.arguments.compute_due(post.due_at, turn.job.turn, turn.job.posts)
        change = Change(given=frozenset({"scheduled_at"}), scheduled_at=due_at)
        done = edit.edit_within(turn.context, turn.c, turn.caller, turn.post_id, change)
        if done is None:
            return False
        turn.firsts, turn.checks = done
        turn.why |= dict.fromkeys(moving)
        return True

    _try(turn, work)


def _try(turn: Turn, work: Callable[[LockedPost, Sequence[LockedDelivery]], bool]) -> None:
    """Read the post, do the work in a savepoint, and undo it if the post changed between the two."""
    before = dict(turn.why)
    for _ in range(TRIES):
        turn.why = dict(before)
        if (post := _read(turn, lock=False)) is None or not (same := _list_same(turn, post)):
            return
        with turn.c.begin_nested() as savepoint:
            is_done = work(post, same)
            raised = {p.id: p.generation + 1 for p in same if turn.why.get(p.id, "") is None}
            if is_done and receipts.has_generation(turn.c, raised):
                return
            savepoint.rollback()
    turn.why, turn.firsts, turn.checks = before, (), ()
    _skip(turn, [r.delivery_id for r in turn.receipts], CHANGED)


# --- verbs of dead letters -------------------------------------------------------------------------------------------


def _replay(turn: Turn) -> None:
    def work(scope: Scope, delivery: UUID, actor: Actor) -> None:
        turn.checks = dead_letters.replay_within(
            turn.context, turn.c, scope, delivery, actor, per_minute=turn.job.arguments.per_minute
        )

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
        _skip(turn, [receipt.delivery_id], str(reason))
    else:
        turn.why[receipt.delivery_id] = None


_VERBS: Mapping[Verb, Callable[[Turn], None]] = {
    Verb.CANCEL: _cancel,
    Verb.RETRY: _retry,
    Verb.RESCHEDULE: _reschedule,
    Verb.PAUSE: _pause,
    Verb.RESUME: _resume,
    Verb.REPLAY: _replay,
    Verb.DISCARD: _discard,
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


@dataclass(kw_only=True, slots=True)
class DeadLetterResult:
    """The result of an action on several dead letters."""

    done: list[UUID] = field(default_factory=list)
    skipped: dict[UUID, str] = field(default_factory=dict)
    """The reason, for each of the others."""


def steer_letters(
    context: Context, asked: Steering, actor: Actor, caller: Caller | None = None
) -> DeadLetterResult:
    """Do a job in each workspace that has dead letters of the filter, and return what became of each.

    *caller*: the key that asks for it; None: an operator. Authors can still retry or edit what is discarded.
    Raises Refusal if one has too many.
    """
    chosen = asked.filter
    with context.database.begin() as c:
        spaces = list_workspaces(c, chosen)
        found = [read_caller(c, space, None) for space in dict.fromkeys(spaces.values())]
    ids = spaces if chosen.deliveries is None else dict.fromkeys(chosen.deliveries)
    if reason := explain_doubt(context):
        return DeadLetterResult(skipped=dict.fromkeys(ids, reason))
    # a filter without a condition would select every post
    asked = replace(asked, filter=replace(chosen, discarded=False))
    whys: dict[UUID, str | None] = {}
    for one in found:
        if one is not None:
            whys |= run_at_once(context, replace(caller or one, actor=actor), asked)
    result = DeadLetterResult()
    for delivery in ids:
        if why := whys.get(delivery, NO_LETTER):
            result.skipped[delivery] = why
        else:
            result.done.append(delivery)
    return result


def _take_step(context: Context, identity: UUID, *, waits: bool = False) -> bool:
    """Do the next step; False if there is none, or another worker does it.

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
    return run_step(context.database, store.JOBS, identity, work, waits=waits)


def _work(context: Context, claimed: SteeringJob, caller: Caller) -> bool:
    """Let some posts have their turn; False if the job has ended with them."""
    with jobs.begin_step(context.database) as c:
        posts = receipts.list_open_posts(c, claimed.id, POSTS)
        if claimed.verb in OF_DEAD_LETTERS:  # an action on a dead letter has its own record of who did it
            caller = replace(caller, actor=find_actor(c, claimed.verb, "steering job", claimed.id))
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
        receipts.settle(c, job.id, turn.why)
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
