"""Undo what a steering job did, one change of a post, or pauses of accounts, within ten minutes of it.

No undo makes anything due, but that of a pause: it ends the pause, and what the pause alone held goes on.

The undo of a job is a job of its own, with a receipt for each delivery; ``steer_step.py`` does it. The undo of an edit,
a move or a cancel is an edit, which gives back what the change replaced (``post_changes.py``). What was changed, armed
or published since is left as it is. A retry has no undo, as what it sent may be live.

A cancel is undone only while no other post has taken the external_id, the row of an import or the body by which the
post was recognised: the tokens are kept under the post's lock, in the transaction that brings it back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import cast
from uuid import UUID

from sqlalchemy import Connection

from pipeline.actions import pauses
from pipeline.actions.edit import edit
from pipeline.actions.post_changes import CANNOT_UNDO, load_undo
from pipeline.actions.steering import require_job
from pipeline.domain.hold import Scope
from pipeline.domain.steering import HAS_UNDO, UNDO_WITHIN, Verb
from pipeline.recovery.restore import refuse_unresolved
from pipeline.runtime.context import Context
from pipeline.runtime.failpoint import failpoint
from pipeline.stages.post_request import Refusal
from pipeline.store.audit import record_change
from pipeline.store.auth.keys import Caller
from pipeline.store.deliveries.pauses import find_reason
from pipeline.store.health import database_now
from pipeline.store.posts.undo_log import find_change
from pipeline.store.steering import jobs as store
from pipeline.store.steering import receipts
from pipeline.store.steering.jobs import SteeringJob


def undo_job(context: Context, caller: Caller, identity: UUID) -> SteeringJob:
    """Start the job that undoes what an ended one did; asked again, return the same job, however old.

    Raises Refusal: 404 for a job that the caller does not see; 409 cannot_undo while it works, for a verb without an
    undo, or when the time for it is over; 503 while a restore of the database is not accepted.
    """
    refuse_unresolved(context)
    with context.database.begin() as c:
        store.lock_jobs(c, caller.workspace_id)
        undone = require_job(c, caller, identity)
        if (known := store.find_undo(c, undone)) is not None:
            return known
        _refuse_no_undo(undone, database_now(c))
        made = store.create_undo(c, caller, undone)
        receipts.wait(c, made)
        job = require_job(c, caller, made)
        asked = {**job.arguments.to_dict(), "counted": job.counted}
        record_change(c, caller.actor, Verb.UNDO, "steering job", made, job.workspace_id, after=asked)
    failpoint("undo.stored", made)
    context.dispatcher.send_steering([made])
    return job


NOTHING: Mapping[str, str] = {}
"""In place of an earlier reason that is the same, was shortened in the audit, or is not that of the last change."""


def undo_pauses(context: Context, caller: Caller, audits: Sequence[int]) -> None:
    """Undo pauses of a workspace and its accounts by the ids of their audit rows. All of them, or none.

    What was not paused before is not any more; another pause gets its earlier reason back. Raises Refusal: 404 for an
    unknown one; 409 cannot_undo for another change, one that is too old, or one that was followed by another.
    """
    with context.database.begin() as c:
        for audit in sorted(set(audits)):
            _undo_pause(c, caller, audit)
    failpoint("pause.lifted")
    context.dispatcher.send_slot_now()


def _undo_pause(c: Connection, caller: Caller, audit: int) -> None:
    found = find_change(c, caller.workspace_id, audit)
    if found is None:
        raise Refusal(404, "not_found", f"There is no change {audit} of the last day.")
    if (found.kind, found.verb) != ("pause", "pause"):
        raise Refusal(409, CANNOT_UNDO, f"A change of the kind {found.kind!r} is no pause.")
    _refuse_late("The pause was made", found.at, found.now)
    scope, _, target = (found.subject or "").partition(" ")
    place = cast("Scope", scope), target
    is_paused = find_reason(c, *place, lock=True) is not None
    found = find_change(c, caller.workspace_id, audit)  # under the lock
    why = found.before.get("why", NOTHING) if found and found.is_last else NOTHING
    if not is_paused or not isinstance(why, str | None):
        raise Refusal(409, CANNOT_UNDO, "The pause was changed or ended since: nothing was undone.")
    if why is None:
        pauses.lift(c, caller.require_actor(), *place, verb="undo")
    else:
        pauses.pause(c, caller.require_actor(), *place, why, verb="undo")


def _refuse_no_undo(job: SteeringJob, now: datetime) -> None:
    if job.verb not in HAS_UNDO:
        raise Refusal(409, CANNOT_UNDO, f"The job's verb is {job.verb}, which has no undo.")
    if job.ended_at is None:
        raise Refusal(409, CANNOT_UNDO, "The job has not ended: stop it first, or wait for its end.")
    _refuse_late("The job ended", job.ended_at, now)


def _refuse_late(what: str, at: datetime, now: datetime) -> None:
    if now > at + UNDO_WITHIN:
        minutes = int(UNDO_WITHIN.total_seconds() // 60)
        message = f"{what} at {at.isoformat(timespec='seconds')}: it can be undone for {minutes} minutes."
        raise Refusal(409, CANNOT_UNDO, message)


def undo_change(context: Context, caller: Caller, audit: int, scheduled_at: datetime | None = None) -> UUID:
    """Undo an edit, a move or a cancel by the id of its audit row, and return the post. All of it, or nothing.

    *scheduled_at*: the new time of the post, where its earlier one has passed.

    Raises Refusal: 404 for an unknown change; 409 cannot_undo for one that has no undo, is too old, or was followed by
    another; 400 validation_failed if it needs a time; and as ``edit``. Raises Unreachable.
    """
    with context.database.begin() as c:
        found = find_change(c, caller.workspace_id, audit)
    if found is None:
        raise Refusal(404, "not_found", f"There is no change {audit} of the last day.")
    _refuse_late("The change was made", found.at, found.now)
    if found.post_id is None or found.undo is None:
        raise Refusal(409, CANNOT_UNDO, f"A change of the kind {found.verb!r} has no undo.")
    edit(context, caller, found.post_id, load_undo(found.undo, audit, scheduled_at))
    return found.post_id
