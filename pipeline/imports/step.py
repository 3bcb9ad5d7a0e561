"""One step of an import (``runtime/job_loop.py``): chunks of rows, each with its position or not at all.

Rolling back: cancel the posts that an import made, where nothing was sent or changed since.

Posts that were there before, or that the import edited, are not touched. What is live stays live, and is counted.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from uuid import UUID

from sqlalchemy import Connection

from pipeline.actions.cancel_delete_retry import cancel_deliveries
from pipeline.domain.bulk_import import ImportState
from pipeline.domain.delivery import SETTLED, State
from pipeline.imports.apply import apply_rows
from pipeline.imports.columns import FileProblem
from pipeline.imports.import_slice import ImportSlice
from pipeline.imports.plan import plan_rows
from pipeline.imports.validate import PostFormat
from pipeline.media.probe.probe_pool import ProbeUnavailable
from pipeline.media.storage import StorageUnavailable
from pipeline.media.url_policy import Unanswered
from pipeline.runtime import job_loop
from pipeline.runtime.context import Context
from pipeline.runtime.failpoint import failpoint
from pipeline.stages.ingest import is_statement_error
from pipeline.stages.post_state import is_in_flight
from pipeline.store import jobs
from pipeline.store.auth.keys import Caller
from pipeline.store.counters.counters import STORAGE_FAULT, count_alarm
from pipeline.store.database import Unreachable
from pipeline.store.imports import imports as store
from pipeline.store.imports import rows as row_store
from pipeline.store.imports.imports import Import
from pipeline.store.posts import actions as posts
from pipeline.store.posts.rewrites import was_rewritten

CHUNK = 100
"""Posts of one step: their rows stay locked until its end."""


def roll_back_posts(work: ImportSlice) -> None:
    """Roll back chunks of posts while the slice lasts; none while a restore of the database is not accepted."""
    while work.context.send_guard.find_doubt() is None:
        work.size = min(work.size, CHUNK)
        with work.resting():
            after = _roll_back_chunk(work)
        if after is None:
            return
        work.job = after


def _roll_back_chunk(work: ImportSlice) -> Import | None:
    context, job = work.context, work.job
    with jobs.begin_step(context.database) as c:
        if not store.lock_step(c, job):
            return None
        rows = row_store.list_created(c, job.id, job.done, work.size)
        words = {}
        for row in sorted(rows, key=lambda r: r.post_id or UUID(int=0)):  # batches lock posts in id order
            if row.post_id is not None:
                words[row.number] = _roll_back(context, c, work.caller, row.post_id)
        row_store.settle_rollback(c, job.id, words)
        cancelled = {
            row.token: row.post_id
            for row in rows
            if words.get(row.number) == "cancelled" and row.token and row.post_id
        }
        row_store.release_tokens(c, job.workspace_id, cancelled.keys(), cancelled.values())
        failpoint("imports.rolling-back", job.id)
        if rows:
            counted = Counter(job.result) + Counter(words.values())
            after = work.finish_chunk(c, done=rows[-1].number, result=dict(counted))
        else:
            after = work.finish_chunk(c, state=ImportState.ROLLED_BACK)
    failpoint("imports.rolled-back", job.id)
    return after


def _roll_back(context: Context, c: Connection, caller: Caller, post_id: UUID) -> str:
    """Cancel one post, or say why not."""
    post = posts.read(c, caller.workspace_id, post_id, lock=True)
    if post is None or all(part.state is State.CANCELLED for part in post.deliveries):
        return "settled"
    if any(part.state is State.PUBLISHED or is_in_flight(part) for part in post.deliveries):
        return "live"
    if was_rewritten(c, post_id) or any(part.generation for part in post.deliveries):
        return "edited"
    unsettled = [part for part in post.deliveries if part.state not in SETTLED]
    if not unsettled:
        return "settled"
    cancel_deliveries(context, c, post, unsettled)
    return "cancelled"


log = logging.getLogger("slipway.imports")

STEPS: Mapping[ImportState, Callable[[ImportSlice], None]] = {
    ImportState.READING: plan_rows,
    ImportState.APPLYING: apply_rows,
    ImportState.ROLLING_BACK: roll_back_posts,
}
"""The work of the next step of an import, by its state."""
SLICE = 5.0
"""Seconds in which a worker begins chunks of one import, before others of the queue have their work."""


def run_step(context: Context, identity: UUID, form: PostFormat, *, seconds: float = 0.0) -> None:
    """Do the next step of an import, if it has one that no other worker does, and dispatch the one after it.

    The step is one chunk, and the chunks that begin within *seconds*.
    """

    def work(job: Import, caller: Caller | None) -> bool:
        failpoint("imports.claimed", identity)
        if caller is None:
            return False
        until = time.monotonic() + seconds
        return _do_chunks(
            ImportSlice(context=context, job=job, caller=replace(caller, bulk=True), form=form, until=until)
        )

    if job_loop.run_step(context.database, store.JOBS, identity, work):
        context.dispatcher.send_imports([identity])


def _do_chunks(work: ImportSlice) -> bool:
    """Do chunks; False if there is no next step now: the import has failed, or maintenance dispatches it again."""
    context, identity = work.context, work.job.id
    try:
        while not _try_step(work):
            log.warning("import %s goes on with %s rows at a time: the database is slow", identity, work.size)
    except FileProblem as problem:
        with jobs.begin_step(context.database) as c:
            store.fail(c, work.job, {"code": problem.code, "message": problem.message})
        return False
    except (StorageUnavailable, Unanswered, ProbeUnavailable) as error:
        log.warning("the file of import %s cannot be read now: %s", identity, error)
        if isinstance(error, StorageUnavailable):
            with context.database.begin() as c:
                count_alarm(c, STORAGE_FAULT)
        return False
    return True


def _try_step(work: ImportSlice) -> bool:
    """Do chunks; False if the database ended a statement of one, and the slice is to go on with smaller ones."""
    try:
        STEPS[work.job.state](work)
    except Unreachable as error:
        if not is_statement_error(error) or not work.shrink():
            raise
        return False
    return True
