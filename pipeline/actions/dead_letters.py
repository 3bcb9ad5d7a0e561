"""Replay or discard a dead letter, in the transaction of its turn in a steering job (``steer_step.py``).

A delivery that may be live is never sent again: one that is armed, that the platform shows live, or in any state but
`failed` and `blocked` is skipped with the reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Connection

from pipeline.actions.cancel_delete_retry import (
    LIVE,
    accept_again,
    cancel_deliveries,
    open_checks,
    pin_checks,
    refuse_sending_again,
)
from pipeline.actions.post_changes import record_move, record_states
from pipeline.domain.audit import Actor
from pipeline.domain.delivery import State
from pipeline.domain.steering import Verb
from pipeline.recovery.restore import explain_doubt
from pipeline.runtime.context import Context
from pipeline.stages import media_checks
from pipeline.store.auth.keys import Caller
from pipeline.store.deliveries import dead_letters as store
from pipeline.store.deliveries.dead_letters import Cause, DeadLetter
from pipeline.store.deliveries.lease import resume_blocked
from pipeline.store.deliveries.move import lock_post
from pipeline.store.deliveries.ownership import Scope
from pipeline.store.deliveries.paced_rates import reserve_turn
from pipeline.store.deliveries.selection import ListFilter
from pipeline.store.posts import actions as steering
from pipeline.store.posts.actions import LockedDelivery, LockedPost

NO_LETTER = "There is no such dead letter; it may have been handled already."
MAY_BE_LIVE = "It may be live: look at the account, then resolve it with `slipway delivery decide`."
OBSTACLES: Mapping[Verb, Mapping[str, str]] = {
    Verb.REPLAY: {"armed": MAY_BE_LIVE, "live": LIVE},
    Verb.DISCARD: {"armed": MAY_BE_LIVE},
}
"""Why a dead letter is skipped, by its obstacle."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadLetterCount:
    """The result that an action on the dead letters of a filter would have."""

    causes: Sequence[Cause]
    """The causes of the dead letters that it would change."""
    skipped: Mapping[str, int]
    """The others, by the reason."""

    @property
    def letters(self) -> int:
        """The number of dead letters it would change."""
        return sum(cause.letters for cause in self.causes)


class Skipped(Exception):
    """The dead letter stays unchanged; the message says why."""


def count_letters(context: Context, verb: Verb, chosen: ListFilter) -> DeadLetterCount:
    """Count what a steering job with this verb would do to the dead letters of a filter, and what it would skip."""
    with context.database.begin() as c:
        found = store.count_by_obstacle(c, chosen)
    doubt = explain_doubt(context)
    causes: Counter[Cause] = Counter()
    skipped: Counter[str] = Counter()
    for cause in found:
        if reason := doubt or OBSTACLES[verb].get(cause.obstacle or ""):
            skipped[reason] += cause.letters
        else:
            causes[replace(cause, letters=0, obstacle=None)] += cause.letters
    changed = [replace(cause, letters=letters) for cause, letters in causes.most_common()]
    return DeadLetterCount(causes=changed, skipped=skipped)


def _read_letter(c: Connection, delivery: UUID, scope: Scope) -> DeadLetter:
    found = store.find_dead_letter(c, delivery, scope)
    if found is None:
        raise Skipped(NO_LETTER)
    if found.armed:
        raise Skipped(MAY_BE_LIVE)
    return found


def _lock_letter(
    c: Connection, delivery: UUID, scope: Scope, *, checks_before: LockedPost | None = None
) -> tuple[DeadLetter, LockedPost, LockedDelivery]:
    """Lock the post of a dead letter and its deliveries, and read the dead letter again under the lock."""
    found = _read_letter(c, delivery, scope)
    post = steering.read(c, found.workspace_id, found.post_id, lock=True)
    dead_letter = _read_letter(c, delivery, scope)
    if post is None:
        raise Skipped("Its post was deleted.")
    seen = checks_before or post
    if (post.media, post.music_url, post.own) != (seen.media, seen.music_url, seen.own):
        raise Skipped("Its post was edited in the meantime. Replay it again.")
    return dead_letter, post, next(part for part in post.deliveries if part.id == delivery)


# --- replay ----------------------------------------------------------------------------------------------------------


def replay_within(
    context: Context,
    c: Connection,
    caller: Caller,
    scope: Scope,
    delivery: UUID,
    actor: Actor,
    *,
    per_minute: float | None = None,
) -> Sequence[UUID]:
    """Accept the delivery again and return the checks to dispatch.

    Raises Skipped and Refusal, after which the caller rolls back. It locks checks before the post: the caller has
    locked no post, so one transaction replays one dead letter.
    """
    gap = timedelta(minutes=1) / (per_minute or context.settings.publish.replays)
    dead_letter = _read_letter(c, delivery, scope)
    seen = steering.read(c, dead_letter.workspace_id, dead_letter.post_id, lock=False)
    if seen is None:
        raise Skipped("Its post was deleted.")
    requested = [p for p in seen.deliveries if p.id == delivery]
    refuse_sending_again(caller, seen, requested)
    if dead_letter.state == State.BLOCKED:
        _resume(c, dead_letter, scope, gap, actor)
        return ()
    # lock order: checks, then the post, as a verdict does
    opened = open_checks(context, c, seen, requested, bulk=True)
    checks = media_checks.lock_checks(c, dead_letter.workspace_id, opened)
    _, post, part = _lock_letter(c, delivery, scope, checks_before=seen)
    _refuse_live(part)
    pin_checks(c, post, checks)
    turn = reserve_turn(c, "replay", part.platform, gap)
    accept_again(context, c, post, [part], why=f"replayed by {actor.label}", not_before=turn)
    record_states(c, actor, "replay", post, [part], State.ACCEPTED)
    return media_checks.list_undecided(checks)


def _resume(c: Connection, dead_letter: DeadLetter, scope: Scope, gap: timedelta, actor: Actor) -> None:
    """Resume a blocked delivery, with its open attempt and checkpoint."""
    lock_post(c, dead_letter.post_id)
    dead_letter = _read_letter(c, dead_letter.id, scope)
    turn = reserve_turn(c, "replay", dead_letter.platform, gap)
    why = f"replayed by {actor.label}"
    if not resume_blocked(
        c, dead_letter.id, dead_letter.post_id, dead_letter.generation, armed=False, why=why, at=turn
    ):
        raise Skipped("It changed in the meantime.")
    record_move(
        c,
        actor,
        "replay",
        dead_letter.id,
        dead_letter.post_id,
        origin=dead_letter.state,
        target=State.RETRYING,
    )


def _refuse_live(part: LockedDelivery) -> None:
    if part.state is not State.FAILED or part.armed:
        raise Skipped(MAY_BE_LIVE)
    if part.is_proven_live:
        raise Skipped(LIVE)


# --- discard ---------------------------------------------------------------------------------------------------------


def discard_within(
    context: Context, c: Connection, scope: Scope, delivery: UUID, actor: Actor, *, why: str
) -> None:
    """Discard the delivery. Raises Skipped, after which the caller rolls back."""
    dead_letter, post, part = _lock_letter(c, delivery, scope)
    store.discard(c, dead_letter, why=why, who=actor.label)
    if part.state is State.BLOCKED:
        cancel_deliveries(context, c, post, [part], f"discarded by {actor.label}: {why}"[:500])
    target = State.CANCELLED if part.state is State.BLOCKED else part.state
    record_states(c, actor, "discard", post, [part], target, discarded=delivery, why=why)
