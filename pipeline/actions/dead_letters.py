"""Replay or discard dead letters, on a person's request.

Each dead letter is a transaction of its own: a crash in the middle leaves some done, and a repeated call does only the
others. A delivery that may be live is never sent again: one that is armed, that the platform shows live, or in any
state but `failed` and `blocked` is skipped with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection

from pipeline.actions.cancel_delete_retry import MEDIA_FAULTS
from pipeline.context import Context
from pipeline.domain.delivery import SETTLED, Mover, State
from pipeline.domain.schedule import next_at
from pipeline.failpoint import failpoint
from pipeline.recovery.restore import explain_doubt
from pipeline.stages import media_checks
from pipeline.stages import post_rules as rules
from pipeline.stages.reachability import advance_post
from pipeline.store.checks.checks import Check
from pipeline.store.deliveries import dead_letters as store
from pipeline.store.deliveries.dead_letters import DeadLetter, Scope
from pipeline.store.deliveries.move import lock_post, recompute_post_status
from pipeline.store.deliveries.paced_rates import reserve_turn
from pipeline.store.deliveries.rescue import resume_blocked
from pipeline.store.posts import actions as steering
from pipeline.store.posts.actions import LockedDelivery, LockedPost


@dataclass(kw_only=True, slots=True)
class DeadLetterResult:
    """The result of an action on several dead letters."""

    done: list[UUID] = field(default_factory=list)
    skipped: dict[UUID, str] = field(default_factory=dict)
    """The reason, for each of the others."""


class Skipped(Exception):
    """The dead letter stays unchanged; the message says why."""


def replay(
    context: Context, scope: Scope, letters: Sequence[UUID], *, who: str, per_minute: float | None = None
) -> DeadLetterResult:
    """Send dead letters again, at most ``per_minute`` per platform over all replays. Their due time stays.

    Media whose checks are too old are checked again. Letters outside ``scope`` are skipped as unknown.
    """
    gap = timedelta(minutes=1) / (per_minute or context.settings.publish.replays)
    checks: list[UUID] = []
    result = _run_each(
        context, letters, lambda delivery: checks.extend(_replay(context, scope, delivery, gap, who))
    )
    failpoint("dead_letters.replayed", *result.done)
    context.dispatcher.send_checks(checks, bulk=True)
    return result


def discard(
    context: Context, scope: Scope, letters: Sequence[UUID], *, why: str, who: str
) -> DeadLetterResult:
    """Discard dead letters: failed ones stay failed, blocked ones are cancelled. Authors can still retry or edit."""
    return _run_each(context, letters, lambda delivery: _discard(context, scope, delivery, why, who))


def _run_each(context: Context, letters: Sequence[UUID], work: Callable[[UUID], None]) -> DeadLetterResult:
    result = DeadLetterResult()
    if reason := explain_doubt(context):
        return DeadLetterResult(skipped=dict.fromkeys(letters, reason))
    for delivery in dict.fromkeys(letters):
        try:
            work(delivery)
        except Skipped as skipped:
            result.skipped[delivery] = str(skipped)
        else:
            failpoint("dead_letters.dealt", delivery)
            result.done.append(delivery)
    return result


def _read_letter(c: Connection, delivery: UUID, scope: Scope) -> DeadLetter:
    found = store.find_dead_letter(c, delivery, scope)
    if found is None:
        raise Skipped("There is no such dead letter; it may have been handled already.")
    if found.armed:
        raise Skipped("It may be live: look at the account, then resolve it with `slipway delivery decide`.")
    return found


def _lock_letter(
    c: Connection, delivery: UUID, scope: Scope, *, checks_before: LockedPost | None = None
) -> tuple[DeadLetter, LockedPost, LockedDelivery]:
    """Lock the post of a dead letter and its deliveries, and read the letter again under the lock."""
    found = _read_letter(c, delivery, scope)
    post = steering.read(c, found.workspace_id, found.post_id, lock=True)
    letter = _read_letter(c, delivery, scope)
    if post is None:
        raise Skipped("Its post was deleted.")
    if checks_before and (post.media, post.music_url) != (checks_before.media, checks_before.music_url):
        raise Skipped("Its post was edited meanwhile. Replay it again.")
    return letter, post, next(part for part in post.deliveries if part.id == delivery)


# --- replay ----------------------------------------------------------------------------------------------------------


def _replay(context: Context, scope: Scope, delivery: UUID, gap: timedelta, who: str) -> Sequence[UUID]:
    """Accept the delivery again and return the checks to dispatch."""
    with context.database.begin() as c:
        letter = _read_letter(c, delivery, scope)
        if letter.state == State.BLOCKED:
            _resume(c, letter, scope, gap, who)
            return ()
        seen = steering.read(c, letter.workspace_id, letter.post_id, lock=False)
        if seen is None:
            raise Skipped("Its post was deleted.")
        # lock order: checks, then the post, as a verdict does
        checks = media_checks.lock_checks(c, letter.workspace_id, _open_checks(context, c, seen, letter))
        _, post, part = _lock_letter(c, delivery, scope, checks_before=seen)
        _refuse_live(post, part)
        steering.pin_checks(c, post.id, media_checks.map_check_ids(checks))
        turn = reserve_turn(c, "replay", part.platform, gap)
        _accept(context, c, post, part, turn, who)
        recompute_post_status(c, post.id)
        advance_post(context, c, post.id)
    return media_checks.list_undecided(checks)


def _resume(c: Connection, letter: DeadLetter, scope: Scope, gap: timedelta, who: str) -> None:
    """Resume a blocked delivery, with its open attempt and checkpoint."""
    lock_post(c, letter.post_id)
    letter = _read_letter(c, letter.id, scope)
    turn = reserve_turn(c, "replay", letter.platform, gap)
    why = f"replayed by {who}"
    if not resume_blocked(c, letter.id, letter.post_id, letter.generation, armed=False, why=why, at=turn):
        raise Skipped("It changed meanwhile.")


def _open_checks(context: Context, c: Connection, post: LockedPost, letter: DeadLetter) -> dict[int, Check]:
    """Open fresh checks; a delivery that failed because of its media makes their old checks stale."""
    wanted = media_checks.list_links(post.media, rules.parse_music_link(context, post.music_url))
    stale = (
        {url for n, _, url in wanted if n != media_checks.MUSIC}
        if _error_code(letter) in MEDIA_FAULTS
        else set()
    )
    return media_checks.open_checks(context, c, post.workspace_id, wanted, stale, bulk=True)


def _error_code(letter: DeadLetter) -> str | None:
    return None if letter.error is None else letter.error.get("code")


def _refuse_live(post: LockedPost, part: LockedDelivery) -> None:
    if part.state is not State.FAILED or part.armed or part.is_proven_live:
        raise Skipped("It is live or may be live: it is not sent again.")
    if any(p.state not in SETTLED and p.state is not State.BLOCKED for p in post.deliveries):
        raise Skipped("Its post is not settled at another account yet: replay it afterwards.")


def _accept(
    context: Context, c: Connection, post: LockedPost, part: LockedDelivery, turn: datetime, who: str
) -> None:
    """Move a delivery to accepted. A checkpoint that was proven absent is kept: finalize has to reuse its handle."""
    expired = (part.error or {}).get("code") == "expired"
    soonest = next_at(post.due_at, context.adapters[part.platform].capabilities.prepare_lead)
    steering.move_locked(
        c,
        context.vault,
        part,
        State.ACCEPTED,
        Mover.RETRY,
        due_at=post.due_at,
        next_at=max(turn, soonest),
        why=f"replayed by {who}",
        keep=part.resumes,
        error=part.error if expired else None,
    )


# --- discard ---------------------------------------------------------------------------------------------------------


def _discard(context: Context, scope: Scope, delivery: UUID, why: str, who: str) -> None:
    with context.database.begin() as c:
        letter, post, part = _lock_letter(c, delivery, scope)
        store.discard(c, letter, why=why, who=who)
        if part.state is State.BLOCKED:
            steering.move_locked(
                c,
                context.vault,
                part,
                State.CANCELLED,
                Mover.CANCEL,
                due_at=part.due_at,
                next_at=part.due_at,
                why=f"discarded by {who}: {why}"[:500],
                error=part.error,
            )
            recompute_post_status(c, post.id)
