"""The turn of a post in a steering job: which of its selected deliveries are as they were; what is said of others.

A delivery that was edited, canceled, retried or settled since it was counted is skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from pipeline.actions.post_changes import PASSED
from pipeline.domain.delivery import UNSETTLED, State
from pipeline.domain.steering import AT_ONCE, Verb
from pipeline.runtime.context import Context
from pipeline.store.auth.keys import Caller
from pipeline.store.posts import actions as posts
from pipeline.store.posts.actions import LockedDelivery, LockedPost
from pipeline.store.posts.undo_log import Befores, list_befores
from pipeline.store.steering import receipts
from pipeline.store.steering.jobs import SteeringJob
from pipeline.store.steering.receipts import Receipt

GONE = "not_found: The post was deleted since it was counted."
CHANGED = "changed: It was edited, canceled, paused, retried, or moved on since."
LATE = f"validation_failed: {PASSED}"
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
    befores: Befores = field(default_factory=dict)
    """Its deliveries as they were read last, for an undo; of an undo, as they were before what it undoes."""


def skip(turn: Turn, ids: Sequence[UUID], why: str) -> None:
    """Say why these deliveries are skipped, unless something was said of them before."""
    for identity in ids:
        turn.why.setdefault(identity, why)


def list_same(turn: Turn, post: LockedPost) -> list[LockedDelivery]:
    """Return the selected deliveries that are as they were; the others are skipped.

    An undo asks for no filter, as what it undoes may have changed what that selects.
    """
    undone = turn.job.arguments.undone
    if undone is None:
        matching = receipts.list_matching(turn.c, turn.caller, turn.job, turn.post_id)
    else:
        states = {State.CANCELLED} if undone is Verb.CANCEL else UNSETTLED
        matching = frozenset(p.id for p in post.deliveries if p.state in states and p.id in turn.befores)
    known = {r.delivery_id: r.generation for r in turn.receipts}
    same = [p for p in post.deliveries if p.id in matching and known.get(p.id) == p.generation]
    if turn.job.verb in AT_ONCE:
        skip(turn, [p.id for p in post.deliveries if p.id in known and p.state is State.FAILED], FAILED)
    skip(turn, [*known.keys() - {p.id for p in same}], CHANGED)
    return same


def read(turn: Turn, *, lock: bool) -> LockedPost | None:
    """Read the post, and keep its deliveries for an undo; None if it was deleted, of which its deliveries say so."""
    post = posts.read(
        turn.c, turn.caller.workspace_id, turn.post_id, lock=lock, accounts=turn.caller.accounts
    )
    if post is None:
        skip(turn, [r.delivery_id for r in turn.receipts], GONE)
    elif turn.job.verb is not Verb.UNDO:
        turn.befores = list_befores(post.deliveries)
    return post


def choose(
    turn: Turn, parts: Sequence[LockedDelivery], is_obstacle: Callable[[LockedDelivery], bool], why: str
) -> list[LockedDelivery]:
    """Return the parts without the obstacle; they count as done unless a later word says otherwise."""
    chosen = [p for p in parts if not is_obstacle(p)]
    for part in parts:
        turn.why[part.id] = why if is_obstacle(part) else None
    return chosen
