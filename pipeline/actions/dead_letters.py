"""What a person does with dead letters: send them again, slowly, or give them up.

Advances nothing by itself. Each letter is a transaction of its own: a crash in the middle leaves some done and the
others dead, and asking again does only those. What may be live is never sent again: an armed delivery, one the
platform shows live, and every state but `failed` and `blocked` is left as it is, with the reason told.
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
from pipeline.recovery.restore import said_in_doubt
from pipeline.stages import media_checks as links
from pipeline.stages import post_rules as rules
from pipeline.stages.reachability import advance
from pipeline.store.checks.checks import Check
from pipeline.store.deliveries import dead_letters as store
from pipeline.store.deliveries.dead_letters import Letter, Scope
from pipeline.store.deliveries.moves import lock_post, recompute
from pipeline.store.deliveries.paced_rates import next_turn
from pipeline.store.deliveries.rescue import resume_one
from pipeline.store.posts import actions as steering
from pipeline.store.posts.actions import Part, Steered


@dataclass(kw_only=True, slots=True)
class Dealt:
    """What became of several letters."""

    done: list[UUID] = field(default_factory=list)
    skipped: dict[UUID, str] = field(default_factory=dict)
    """Why not, of the others."""


class Skipped(Exception):
    """The letter is left as it is; the message says why."""


def replay(
    context: Context, scope: Scope, letters: Sequence[UUID], *, who: str, per_minute: float | None = None
) -> Dealt:
    """Sends them again, so many a minute on each platform, over all replays there are. Their due time stays.

    Media are checked anew. Those out of ``scope`` are skipped as if they were not there.
    """
    gap = timedelta(minutes=1) / (per_minute or context.settings.publish.replays)
    checks: list[UUID] = []
    dealt = _each(
        context, letters, lambda delivery: checks.extend(_replay(context, scope, delivery, gap, who))
    )
    failpoint("dead_letters.replayed", *dealt.done)
    context.dispatcher.checks(checks, bulk=True)
    return dealt


def discard(context: Context, scope: Scope, letters: Sequence[UUID], *, why: str, who: str) -> Dealt:
    """Gives them up: a failed one stays failed, a blocked one is cancelled. Its author may still retry or edit it."""
    return _each(context, letters, lambda delivery: _discard(context, scope, delivery, why, who))


def _each(context: Context, letters: Sequence[UUID], work: Callable[[UUID], None]) -> Dealt:
    dealt = Dealt()
    if said := said_in_doubt(context):
        return Dealt(skipped=dict.fromkeys(letters, said))
    for delivery in dict.fromkeys(letters):
        try:
            work(delivery)
        except Skipped as skipped:
            dealt.skipped[delivery] = str(skipped)
        else:
            failpoint("dead_letters.dealt", delivery)
            dealt.done.append(delivery)
    return dealt


def _letter(c: Connection, delivery: UUID, scope: Scope) -> Letter:
    found = store.find_letter(c, delivery, scope)
    if found is None:
        raise Skipped("There is no such dead letter: it was dealt with, or never was one.")
    if found.armed:
        raise Skipped("It may be live: look at the account, then say so with `slipway delivery decide`.")
    return found


def _locked(
    c: Connection, delivery: UUID, scope: Scope, *, checks_before: Steered | None = None
) -> tuple[Letter, Steered, Part]:
    """The letter and its post under the one lock order, as they are now and not as they were listed."""
    found = _letter(c, delivery, scope)
    post = steering.read(c, found.workspace_id, found.post_id, lock=True)
    letter = _letter(c, delivery, scope)
    if post is None:
        raise Skipped("Its post was deleted.")
    if checks_before and (post.media, post.music_url) != (checks_before.media, checks_before.music_url):
        raise Skipped("Its post was edited meanwhile.")
    return letter, post, next(part for part in post.parts if part.id == delivery)


# --- again -----------------------------------------------------------------------------------------------------------


def _replay(context: Context, scope: Scope, delivery: UUID, gap: timedelta, who: str) -> Sequence[UUID]:
    """The checks that have to be rung for."""
    with context.database.begin() as c:
        letter = _letter(c, delivery, scope)
        if letter.state == State.BLOCKED:
            _go_on(c, letter, scope, gap, who)
            return ()
        seen = steering.read(c, letter.workspace_id, letter.post_id, lock=False)
        if seen is None:
            raise Skipped("Its post was deleted.")
        # the checks before the post: a verdict locks them in the same order
        checks = links.locked(c, letter.workspace_id, _checks(context, c, seen, letter))
        _, post, part = _locked(c, delivery, scope, checks_before=seen)
        _refuse_live(post, part)
        steering.pin(c, post.id, links.pins_of(checks))
        turn = next_turn(c, "replay", part.platform, gap)
        _accept(context, c, post, part, turn, who)
        recompute(c, post.id)
        advance(context, c, post.id)
    return links.undecided(checks)


def _go_on(c: Connection, letter: Letter, scope: Scope, gap: timedelta, who: str) -> None:
    """A blocked one keeps its open attempt and whatever it prepared."""
    lock_post(c, letter.post_id)
    letter = _letter(c, letter.id, scope)
    turn = next_turn(c, "replay", letter.platform, gap)
    why = f"replayed by {who}"
    if not resume_one(c, letter.id, letter.post_id, letter.generation, armed=False, why=why, at=turn):
        raise Skipped("It moved meanwhile.")


def _checks(context: Context, c: Connection, post: Steered, letter: Letter) -> dict[int, Check]:
    """Fresh ones. Where it died because its file is not what was checked, an old check tells nothing."""
    wanted = links.links_of(post.media, rules.music_link_of(context, post.music_url))
    stale = {url for n, _, url in wanted if n != links.MUSIC} if _code(letter) in MEDIA_FAULTS else set()
    return links.open_checks(context, c, post.workspace_id, wanted, stale)


def _code(letter: Letter) -> str | None:
    return None if letter.error is None else letter.error.get("code")


def _refuse_live(post: Steered, part: Part) -> None:
    if part.state is not State.FAILED or part.armed or part.shown_live:
        raise Skipped("The platform shows it live, or it may be: nothing is sent again.")
    if any(p.state not in SETTLED and p.state is not State.BLOCKED for p in post.parts):
        raise Skipped("Its post is still under way on another account: replay it when that is settled.")


def _accept(context: Context, c: Connection, post: Steered, part: Part, turn: datetime, who: str) -> None:
    """Back to the start, with the handle of a try that was proven absent: that one is to be finished, no other."""
    expired = (part.error or {}).get("code") == "expired"
    soonest = next_at(post.due_at, context.adapters[part.platform].capabilities.prepare_lead)
    steering.put(
        c,
        context.vault,
        part,
        State.ACCEPTED,
        Mover.RETRY,
        due_at=post.due_at,
        next_at=max(turn, soonest),
        why=f"replayed by {who}",
        keep=part.reused,
        error=part.error if expired else None,
    )


# --- given up --------------------------------------------------------------------------------------------------------


def _discard(context: Context, scope: Scope, delivery: UUID, why: str, who: str) -> None:
    with context.database.begin() as c:
        letter, post, part = _locked(c, delivery, scope)
        store.set_aside(c, letter, why=why, who=who)
        if part.state is State.BLOCKED:
            steering.put(
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
            recompute(c, post.id)
