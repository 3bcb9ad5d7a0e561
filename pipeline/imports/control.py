"""Actions of users on an import: apply, pause, resume, cancel, roll back, delete. Each is one move, under its lock.

A chunk of rows holds the same lock, so an answer is sent only after the chunk in progress, and no later one begins.
Repeating an action that has been taken changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.bulk_import import ALLOWED, INSTEAD, REPEATED, WORDS, Action, ImportState
from pipeline.imports.upload import MAX_NAME
from pipeline.runtime.context import Context
from pipeline.runtime.failpoint import failpoint
from pipeline.stages.post_request import Refusal
from pipeline.store.audit import record_change
from pipeline.store.auth.keys import Caller
from pipeline.store.imports import imports as store
from pipeline.store.imports.imports import Import
from pipeline.store.imports.rows import StaleRow, list_stale

MAX_CHANGES = 50
"""Rows that are listed when a plan does not hold any more."""
_WHY: Mapping[str, str] = {
    "taken": "Its post exists by now.",
    "gone": "Its post is not there any more.",
    "late": "Its time has passed.",
    "inactive": "One of its accounts is not active any more.",
}


def apply(context: Context, caller: Caller, identity: UUID, plan_hash: str) -> Import:
    """Begin to apply a plan. Raises Refusal 409 plan_changed, with the rows whose verdict would differ now.

    Then nothing is applied, and the file is planned again.
    """
    with context.database.begin() as c:
        job = _lock(c, caller, identity)
        is_repeated = job.state in REPEATED[Action.apply]
        if not is_repeated:
            _require_state(job, Action.apply)
        _refuse_other_plan(job, plan_hash)
        if is_repeated:
            return job
        if job.strict and job.rejected:
            message = (
                f"The import is strict, and {job.rejected:,} rows are rejected: send the corrected file."
            )
            raise Refusal(400, "validation_failed", message)
        changes = list_stale(c, job.workspace_id, job.id, MAX_CHANGES)
        if changes:
            store.change_state(c, job, ImportState.READING, **_NOT_PLANNED)
        else:
            store.change_state(c, job, ImportState.APPLYING, done=0)
        moved = _record(c, caller, Action.apply, job)
    failpoint("imports.moved", identity)
    context.dispatcher.send_imports([identity])
    if changes:
        raise _refuse_changed(changes)
    return moved


_NOT_PLANNED: Mapping[str, Any] = {
    **dict.fromkeys(("position", "rows", "accepted", "duplicate", "rejected", "done"), 0),
    "plan": None,
    "plan_hash": None,
}


def _move(context: Context, caller: Caller, identity: UUID, action: Action) -> Import:
    with context.database.begin() as c:
        job = _lock(c, caller, identity)
        if job.state in REPEATED[action] or (action is Action.delete and job.is_removed):
            return job
        _require_state(job, action)
        _change(c, job, action)
        moved = _record(c, caller, action, job)
    failpoint("imports.moved", identity)
    context.dispatcher.send_imports([identity])
    return moved


pause = partial(_move, action=Action.pause)
"""Stop after the chunk in progress."""
resume = partial(_move, action=Action.resume)
"""Go on where the import was paused."""
cancel = partial(_move, action=Action.cancel)
"""End an import after the chunk in progress. Posts that it made stay, until they are rolled back."""
rollback = partial(_move, action=Action.rollback)
"""Begin to cancel the posts that the import made, where nothing was sent or edited since."""
delete = partial(_move, action=Action.delete)
"""Delete file and rows of an import that is at rest; its counts, and the posts it made, stay."""


def rename(context: Context, caller: Caller, identity: UUID, name: str) -> None:
    """Give an import another name. Raises Refusal 400 for one that is blank or too long."""
    name = name.strip()
    if not 0 < len(name) <= MAX_NAME:
        message = f"name: 1 to {MAX_NAME} characters; it has {len(name):,}."
        raise Refusal(400, "validation_failed", message)
    with context.database.begin() as c:
        job = _lock(c, caller, identity)
        if job.name == name:
            return
        store.rename(c, identity, name)
        names = {"name": job.name}, {"name": name}
        record_change(c, caller.actor, "rename", "import", identity, job.workspace_id, *names)


def _record(c: Connection, caller: Caller, action: Action, before: Import) -> Import:
    """Record the action, in its transaction, and return the import as it is now."""
    moved = _lock(c, caller, before.id)
    states = {"state": before.state}, {"state": moved.state}
    record_change(c, caller.actor, action, "import", moved.id, moved.workspace_id, *states)
    return moved


def _change(c: Connection, job: Import, action: Action) -> None:
    match action:
        case Action.pause:
            store.change_state(c, job, ImportState.PAUSED, paused_from=job.state)
        case Action.resume if job.paused_from is not None:
            store.change_state(c, job, job.paused_from)
        case Action.cancel:
            store.change_state(c, job, ImportState.CANCELLED)
        case Action.rollback:
            store.change_state(c, job, ImportState.ROLLING_BACK, done=0, error=None)
        case Action.delete:
            store.mark_deleted(c, job.id)
        case _:
            raise LookupError(f"{action} does not move an import.")


def _lock(c: Connection, caller: Caller, identity: UUID) -> Import:
    job = store.find_import(c, caller, identity, lock=True)
    if job is None:
        raise Refusal(404, "not_found", "There is no such import.")
    return job


def _require_state(job: Import, action: Action) -> None:
    if job.is_removed:
        raise Refusal(409, "import_state", "The file and the rows of this import are removed.")
    if job.state not in ALLOWED[action]:
        allowed = " or ".join(WORDS[state] for state in sorted(ALLOWED[action]))
        message = f"The import is {describe(job)}: {action} needs one that is {allowed}."
        raise Refusal(409, "import_state", f"{message} {INSTEAD.get((action, job.state), '')}".rstrip())


def describe(job: Import) -> str:
    """Return the state of an import, with what was done: ``applied (2 created)``."""
    done = ", ".join(f"{count:,} {word}" for word, count in job.result.items())
    words = f"{WORDS[job.state]} and deleted" if job.deleted_at else WORDS[job.state]
    return f"{words} ({done})" if done else words


def _refuse_other_plan(job: Import, plan_hash: str) -> None:
    if (
        job.has_plan
        and job.plan_hash is not None
        and job.plan is not None
        and job.plan_hash.hex() != plan_hash
    ):
        counts = ", ".join(f"{count:,} {word}" for word, count in job.plan.items() if isinstance(count, int))
        message = f"The import is {describe(job)}, and its plan another one: {counts}; its hash is"
        raise Refusal(409, "plan_changed", f"{message} {job.plan_hash.hex()}.")


def _refuse_changed(changes: Sequence[StaleRow]) -> Refusal:
    issues = [
        {"path": f"rows.{row.number}", "message": f"{_WHY[row.why]} (line {row.line})", "type": row.why}
        for row in changes
    ]
    rows = f"{len(changes)} rows" if len(changes) < MAX_CHANGES else f"At least {MAX_CHANGES} rows"
    message = f"{rows} would be planned otherwise now; nothing was applied. The file is planned again: read the import."
    return Refusal(409, "plan_changed", message, issues)
