"""Applying: make posts of a chunk of accepted rows, and store posts, receipts and position in one transaction.

Posts are made by the ingest of POST /posts, which recognises what was made before. A row that is refused or has its
post by now changes its verdict, so that the counts always are what happened.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from adapters.contract import Platform
from pipeline.actions.edit import Change, edit
from pipeline.bulk import judge
from pipeline.bulk.judge import PostFormat
from pipeline.bulk.plan import CHUNK
from pipeline.context import Context
from pipeline.domain.bulk_import import ImportState, RowVerdict
from pipeline.failpoint import failpoint
from pipeline.stages.ingest_bulk import Entry, Result, dispatch_bulk, store_batch
from pipeline.stages.new_post import PostPlan, Submission
from pipeline.stages.post_request import AcceptedPost, PostRequest, Refusal
from pipeline.store.auth.keys import Caller
from pipeline.store.database import Unreachable
from pipeline.store.imports import imports as store
from pipeline.store.imports import rows as row_store
from pipeline.store.imports.imports import Import
from pipeline.store.imports.rows import RowRecord
from pipeline.store.posts.idempotency import Overtaken, translate_overtaken

log = logging.getLogger("slipway.imports")


def apply_chunk(context: Context, job: Import, caller: Caller, form: PostFormat) -> None:
    """Do one step of applying. Of a chunk that fails, the first row is done alone: one at fault harms no other."""
    try:
        _apply(context, job, caller, form, CHUNK)
    except Unreachable:
        raise
    except Overtaken:
        return  # the next step finds the post that an older server stored meanwhile
    except Exception:
        log.exception("a chunk of import %s failed, and its first row is applied alone", job.id)
        _apply_alone(context, job, caller, form)


def _apply_alone(context: Context, job: Import, caller: Caller, form: PostFormat) -> None:
    try:
        _apply(context, job, caller, form, 1)
    except (Unreachable, Overtaken):
        raise
    except Exception as error:
        log.exception("a row of import %s failed", job.id)
        _reject_next(context, job, error)


def _apply(context: Context, job: Import, caller: Caller, form: PostFormat, limit: int) -> None:
    with context.database.begin() as c:
        rows = row_store.list_to_apply(c, job.id, job.done, limit)
    edited = _edit_posts(context, job, caller, form, [r for r in rows if r.action == "update"])
    failpoint("imports.edited", job.id)
    stored: Sequence[PostPlan] = ()
    with translate_overtaken(), context.database.begin() as c:
        if not store.lock_step(c, job):
            return
        new = [r for r in rows if r.action == "create"]
        entries = [_read_entry(job, caller, form, row) for row in new]
        results, stored = store_batch(context, c, entries)
        failpoint("imports.posts-stored", job.id)
        settled = [*edited, *(_settle(row, result) for row, result in zip(new, results, strict=True))]
        _store_progress(c, job, rows, settled)
    failpoint("imports.applied", job.id)
    dispatch_bulk(context, stored)


def _read_entry(job: Import, caller: Caller, form: PostFormat, row: RowRecord) -> Entry:
    try:
        request = form.read(row.body)
    except Refusal as refusal:
        return refusal
    token = row.token if row.occurrence else None
    return Submission(caller=caller, request=request, import_id=job.id, row_token=token)


def _settle(row: RowRecord, result: Result) -> RowRecord:
    """Return the row after its post was stored, found, or refused."""
    if isinstance(result, AcceptedPost):
        if result.duplicate:
            return replace(row, verdict=RowVerdict.DUPLICATE, action=None, post_id=result.id)
        return replace(row, post_id=result.id)
    return _refuse(row, result)


def _refuse(row: RowRecord, error: Exception) -> RowRecord:
    return replace(row, verdict=RowVerdict.REJECTED, action=None, issues=judge.describe_refusal(error))


def _store_progress(
    c: Connection, job: Import, rows: Sequence[RowRecord], settled: Sequence[RowRecord]
) -> None:
    if not rows:
        row_store.link_repeats(c, job.id)
        store.finish_step(c, job, state=ImportState.APPLIED)
        return
    row_store.settle_rows(c, job.id, settled)
    counts = Counter(row.verdict for row in settled)
    done = Counter(_describe(row) for row in settled)
    store.finish_step(
        c,
        job,
        accepted=job.accepted - counts[RowVerdict.DUPLICATE] - counts[RowVerdict.REJECTED],
        duplicate=job.duplicate + counts[RowVerdict.DUPLICATE],
        rejected=job.rejected + counts[RowVerdict.REJECTED],
        done=rows[-1].number,
        result=dict(Counter(job.result) + done),
    )


def _describe(row: RowRecord) -> str:
    if row.verdict is RowVerdict.ACCEPTED:
        return "created" if row.action == "create" else "edited"
    return "found" if row.verdict is RowVerdict.DUPLICATE else "refused"


def _reject_next(context: Context, job: Import, error: Exception) -> None:
    """Reject the next row, whose statement the database refuses: a fault of ours, or a value that it cannot hold."""
    with context.database.begin() as c:
        if store.lock_step(c, job):
            rows = row_store.list_to_apply(c, job.id, job.done, 1)
            _store_progress(c, job, rows, [_refuse(row, error) for row in rows])


# --- edits -----------------------------------------------------------------------------------------------------------


def _edit_posts(
    context: Context, job: Import, caller: Caller, form: PostFormat, rows: Sequence[RowRecord]
) -> list[RowRecord]:
    """Edit the posts of changed rows, each in its own transactions, until the import is stopped.

    Repeated after a crash, an edit makes its post the same again.
    """
    edited = []
    for row in rows:
        with context.database.begin() as c:
            if not store.lock_step(c, job):
                break
        edited.append(_edit(context, job, caller, form, row))
    return edited


def _edit(context: Context, job: Import, caller: Caller, form: PostFormat, row: RowRecord) -> RowRecord:
    if row.post_id is None:
        raise LookupError(f"Row {row.number} of import {job.id} edits no post.")
    try:
        edit(context, caller, row.post_id, build_change(context, form.read(row.body)))
    except Refusal as refusal:
        return _refuse(row, refusal)
    return row


def build_change(context: Context, request: PostRequest) -> Change:
    """Return the edit that makes a post what a row says: all of its fields, absent ones cleared."""
    sections: Mapping[Platform, Any] = {
        platform: request.options.get(platform)
        for platform, adapter in context.adapters.items()
        if adapter.post_options is not None
    }
    fields = {
        "caption",
        "media",
        "accounts",
        "scheduled_at",
        "music_url",
        "ai_generated",
        *map(str, sections),
    }
    return Change(
        given=frozenset(fields),
        caption=request.caption,
        media=request.media,
        account_ids=request.account_ids,
        scheduled_at=request.scheduled_at,
        music_url=request.music_url,
        options=sections,
        ai_generated=request.ai_generated,
    )
