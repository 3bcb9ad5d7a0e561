"""Rolling back: cancel the posts that an import made, where nothing was sent or changed since.

Posts that were there before, or that the import edited, are not touched. What is live stays live, and is counted.
"""

from __future__ import annotations

from collections import Counter
from uuid import UUID

from sqlalchemy import Connection

from pipeline.actions.cancel_delete_retry import cancel_deliveries
from pipeline.domain.bulk_import import ImportState
from pipeline.domain.delivery import SETTLED, State
from pipeline.imports.import_slice import ImportSlice
from pipeline.runtime.context import Context
from pipeline.runtime.failpoint import failpoint
from pipeline.stages.post_state import is_in_flight
from pipeline.store import jobs
from pipeline.store.auth.keys import Caller
from pipeline.store.imports import imports as store
from pipeline.store.imports import rows as row_store
from pipeline.store.imports.imports import Import
from pipeline.store.posts import actions as posts

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
        cancelled = {row.token for row in rows if words.get(row.number) == "cancelled" and row.token}
        row_store.release_tokens(c, job.workspace_id, cancelled)
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
    if posts.was_rewritten(c, post_id) or any(part.generation for part in post.deliveries):
        return "edited"
    unsettled = [part for part in post.deliveries if part.state not in SETTLED]
    if not unsettled:
        return "settled"
    cancel_deliveries(context, c, post, unsettled)
    return "cancelled"
