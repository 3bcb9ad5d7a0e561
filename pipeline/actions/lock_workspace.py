"""Lock a workspace whose keys may have leaked, and unlock it: each is one transaction, with its audit rows.

A lock ends every key, session and open link, gives each webhook a secret that has been shown to none, and pauses what
is not armed: a pause that only an unlock lifts. Keys that are made after it work, and their posts are held too.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

from pipeline.actions.steer_step import run_at_once
from pipeline.actions.steering import Steering
from pipeline.domain.audit import Actor
from pipeline.domain.delivery import Mover, State
from pipeline.domain.post import NO_TIME
from pipeline.domain.steering import Arguments, Verb
from pipeline.domain.webhook import PauseReason
from pipeline.runtime.context import Context
from pipeline.runtime.failpoint import failpoint
from pipeline.stages.post_request import Refusal
from pipeline.store.audit import record_change
from pipeline.store.auth import access
from pipeline.store.auth.keys import Caller
from pipeline.store.deliveries import pauses
from pipeline.store.deliveries.move import move
from pipeline.store.deliveries.selection import ListFilter
from pipeline.store.webhooks import webhooks

_SIDES = {"locked": False}, {"locked": True}


def lock(context: Context, actor: Actor, workspace: UUID, why: str) -> Mapping[str, int] | None:
    """Lock a workspace and return what that has ended and holds; None if it is locked already: nothing is done."""
    with context.database.begin() as c:
        if not pauses.lock_workspace(c, workspace, why, f"{actor.kind} {actor.name}"):
            return None
        found = access.count_access(c, workspace)
        for key in access.end_access(c, workspace):
            record_change(c, actor, "revoke", "key", key, workspace, {"revoked": False}, {"revoked": True})
        failpoint("lock.keys-revoked", workspace)
        for webhook in webhooks.list_webhooks_of(c, [workspace]):
            webhooks.rotate_secret(c, context.vault, webhook.id, timedelta(0))
            webhooks.pause_webhook(c, webhook.id, PauseReason.LOCKED)
            record_change(c, actor, "rotate", "webhook", webhook.id, workspace)
        after = {**_SIDES[1], "why": why, **found}
        record_change(c, actor, "lock", "workspace", workspace, workspace, _SIDES[0], after)
        failpoint("lock.recorded", workspace)
    failpoint("lock.committed", workspace)
    return found


def unlock(context: Context, actor: Actor, workspace: UUID) -> bool:
    """Unlock a workspace and release what it held, by the posts' own late policies. False when it is not locked.

    A pause that it had before the lock is back.
    """
    with context.database.begin() as c:
        if not pauses.unlock_workspace(c, workspace):
            return False
        record_change(c, actor, "unlock", "workspace", workspace, workspace, *reversed(_SIDES))
    failpoint("lock.lifted", workspace)
    context.dispatcher.send_slot_now()
    return True


def cancel_held(context: Context, caller: Caller) -> int:
    """Cancel what a locked workspace would send, drafts left out: posts by a steering job, then first comments.

    Return how many deliveries.

    Raises Refusal: 409 post_in_flight if some are left; and as ``steer``.
    """
    chosen = ListFilter(unsent=True, due_until=NO_TIME)
    done = run_at_once(context, caller, Steering(verb=Verb.CANCEL, filter=chosen, arguments=Arguments()))
    comments = _cancel_comments(context, caller.workspace_id)
    with context.database.begin() as c:
        left = access.count_access(c, caller.workspace_id)["deliveries"]
    if left:
        message = (
            f"{left} deliveries are being sent or came meanwhile: not canceled, they stay locked. Try again."
        )
        raise Refusal(409, "post_in_flight", message)
    return comments + sum(why is None for why in done.values())


def _cancel_comments(context: Context, workspace: UUID) -> int:
    with context.database.begin() as c:
        found = access.cancel_comments(c, workspace)
    canceled = 0
    for one in found:
        with context.database.begin() as c:  # one each: it locks the comment's post
            canceled += move(
                c,
                delivery=one.id,
                post=one.post_id,
                origin=State(one.state),
                target=State.CANCELLED,
                mover=Mover.CANCEL,
                generation=one.generation,
                why=access.CANCELED,
            )
    return canceled
