"""Applying: make posts of a chunk of accepted rows, and store posts, receipts and position in one transaction.

Posts are made by the ingest of POST /posts, which recognises what was made before. A row that is refused or has its
post by now changes its verdict, so that the counts always are what happened.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from sqlalchemy import Connection

from adapters.contract import Platform
from config.logging import log_event
from pipeline.actions.edit import edit
from pipeline.actions.post_changes import Change
from pipeline.domain.bulk_import import ImportState, RowVerdict
from pipeline.imports import validate
from pipeline.imports.import_slice import CHUNK, CHUNK_BESIDE_REQUESTS, DayFull, ImportSlice
from pipeline.runtime.context import Context
from pipeline.runtime.failpoint import failpoint
from pipeline.stages.ingest import Entry, Result, dispatch_batch, plan_batch, store_batch
from pipeline.stages.new_post import IngestCaches, Submission, build_caches
from pipeline.stages.post_request import AcceptedPost, PostRequest, Refusal
from pipeline.store import jobs
from pipeline.store.database import Unreachable
from pipeline.store.imports import imports as store
from pipeline.store.imports import rows as row_store
from pipeline.store.imports.imports import Import
from pipeline.store.imports.rows import RowRecord

log = logging.getLogger("slipway.imports")


def apply_rows(work: ImportSlice) -> None:
    """Apply chunks while the slice lasts. Of one that fails, the first row is done alone: one at fault harms no other.

    The rows of the next chunk are parsed while the database stores this one, unless the key's day has a limit, or
    requests are to be served while it runs. One connection does all of it.
    """
    try:
        _apply_chunks(work)
    except DayFull:
        work.hold()


def _apply_chunks(work: ImportSlice) -> None:
    caches = build_caches(work.context)
    with ThreadPoolExecutor(1) as parser:
        rows = _list_rows(work, work.job.done)
        entries = _read_entries(work, rows)
        while True:
            may_go_ahead = rows and work.may_go_on() and not (work.day_limit or work.is_beside_requests())
            ahead = _list_rows(work, rows[-1].number) if may_go_ahead else None
            parsing = None if ahead is None else parser.submit(_read_entries, work, ahead)
            with work.resting():
                after = _apply_or_isolate(work, caches, rows, entries)
            if after is None:
                return
            work.job = after
            rows = _list_rows(work, after.done) if ahead is None else ahead
            entries = _read_entries(work, rows) if parsing is None else parsing.result()


def _list_rows(work: ImportSlice, after: int, limit: int | None = None) -> Sequence[RowRecord]:
    work.size = min(work.size, limit or (CHUNK_BESIDE_REQUESTS if work.is_beside_requests() else CHUNK))
    with jobs.begin_step(work.context.database) as c:
        room = work.count_room(c) if work.day_limit else work.size
        rows = row_store.list_to_apply(c, work.job.id, after, min(work.size, max(1, room)))
    if not room and any(row.verdict is RowVerdict.ACCEPTED for row in rows):
        raise DayFull
    return rows


def _read_entries(work: ImportSlice, rows: Sequence[RowRecord]) -> Sequence[Entry]:
    """Return the posts of the rows that become one; they need no connection."""
    return [_read_entry(work, row) for row in rows if row.action == "create"]


def _read_entry(work: ImportSlice, row: RowRecord) -> Entry:
    try:
        request = work.form.read(row.body, is_safe=True)  # the database holds no text that is not
    except Refusal as refusal:
        return refusal
    token = row.token if row.occurrence else None
    return Submission(
        caller=work.caller, request=request, import_id=work.job.id, row_token=token, judged=row.judged
    )


def _apply_or_isolate(
    work: ImportSlice, caches: IngestCaches, rows: Sequence[RowRecord], entries: Sequence[Entry]
) -> Import | None:
    try:
        return _apply_chunk(work, caches, rows, entries)
    except (Unreachable, DayFull):
        raise
    except Exception:
        log.exception("a chunk of import %s failed, and its first row is applied alone", work.job.id)
    try:
        rows = _list_rows(work, work.job.done, 1)
        _apply_chunk(work, build_caches(work.context), rows, _read_entries(work, rows))
    except (Unreachable, DayFull):
        raise
    except Exception as error:
        log.exception("a row of import %s failed", work.job.id)
        _reject_next(work, error)
    return None


def _apply_chunk(
    work: ImportSlice, caches: IngestCaches, rows: Sequence[RowRecord], entries: Sequence[Entry]
) -> Import | None:
    context, job = work.context, work.job
    edited = _edit_posts(work, [row for row in rows if row.action == "update"])
    failpoint("imports.edited", job.id)
    with jobs.begin_step(context.database) as c:
        if not store.lock_step(c, job):
            return None
        planned = plan_batch(context, c, entries, caches, work.caller)
        results, stored = store_batch(context, c, planned, warn=False)
        failpoint("imports.posts-stored", job.id)
        new = [row for row in rows if row.action == "create"]
        settled = [*edited, *(_settle(row, result) for row, result in zip(new, results, strict=True))]
        work.count_rows(c, len(settled))
        after = _store_progress(work, c, rows, settled)
    failpoint("imports.applied", job.id)
    dispatch_batch(context, stored)
    _log_posts(job, results)
    return after


def _log_posts(job: Import, results: Sequence[Result]) -> None:
    """Log each post that the import made, as a request logs its own."""
    for made in results:
        if isinstance(made, AcceptedPost) and not made.duplicate:
            ids = {"post": made.id, "delivery": made.deliveries, "import": job.id}
            log_event(log, logging.INFO, "post", ids | {"workspace": job.workspace_id})


def _settle(row: RowRecord, result: Result) -> RowRecord:
    """Return the row after its post was stored, found, or refused."""
    if isinstance(result, AcceptedPost):
        if result.duplicate:
            return replace(row, verdict=RowVerdict.DUPLICATE, action=None, post_id=result.id)
        return replace(row, post_id=result.id)
    return _refuse(row, result)


def _refuse(row: RowRecord, error: Exception) -> RowRecord:
    return replace(row, verdict=RowVerdict.REJECTED, action=None, issues=validate.describe_refusal(error))


def _store_progress(
    work: ImportSlice, c: Connection, rows: Sequence[RowRecord], settled: Sequence[RowRecord]
) -> Import | None:
    job = work.job
    if not rows:
        return work.finish_chunk(c, state=ImportState.APPLIED)
    row_store.settle_rows(c, job.id, settled)
    row_store.link_repeats(c, job.id, [r.number for r in rows if r.verdict is RowVerdict.DUPLICATE])
    counts = Counter(row.verdict for row in settled)
    done = Counter(_describe(row) for row in settled)
    return work.finish_chunk(
        c,
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


def _reject_next(work: ImportSlice, error: Exception) -> None:
    """Reject the next row, whose statement the database refuses: a fault of ours, or a value that it cannot hold."""
    with jobs.begin_step(work.context.database) as c:
        if store.lock_step(c, work.job):
            rows = row_store.list_to_apply(c, work.job.id, work.job.done, 1)
            _store_progress(work, c, rows, [_refuse(row, error) for row in rows])


# --- edits -----------------------------------------------------------------------------------------------------------


def _edit_posts(work: ImportSlice, rows: Sequence[RowRecord]) -> list[RowRecord]:
    """Edit the posts of changed rows, each in its own transactions, until the import is stopped.

    Repeated after a crash, an edit makes its post the same again.
    """
    edited = []
    for row in rows:
        if not work.extend():
            break
        edited.append(_edit(work, row))
    return edited


def _edit(work: ImportSlice, row: RowRecord) -> RowRecord:
    if row.post_id is None:
        raise LookupError(f"Row {row.number} of import {work.job.id} edits no post.")
    try:
        edit(work.context, work.caller, row.post_id, build_change(work.context, work.form.read(row.body)))
    except Refusal as refusal:
        return _refuse(row, refusal)
    return row


def build_change(context: Context, request: PostRequest) -> Change:
    """Return the edit that makes a post what a row says: all of its fields, absent ones cleared."""
    platforms = [one for one, adapter in context.adapters.items() if adapter.post_options is not None]
    fields = {
        "caption",
        "media",
        "accounts",
        *(() if request.draft else ("scheduled_at",)),
        "music_url",
        "ai_generated",
        "first_comment",
        *map(str, platforms),
        *(("external_id",) if request.external_id is not None else ()),
    }
    change = choose_changes(request, fields, platforms)
    return replace(change, draft=request.draft, external_id=request.external_id)


def choose_changes(request: PostRequest, given: Collection[str], platforms: Iterable[Platform]) -> Change:
    """Return the edit of these fields, and of the sections of these platforms, to what a request says."""
    return Change(
        given=frozenset(given),
        caption=request.caption,
        media=request.media if "media" in given else None,
        account_ids=request.account_ids if "accounts" in given else (),
        own=request.own if "accounts" in given else {},
        scheduled_at=request.scheduled_at,
        auto=request.auto,
        music_url=request.music_url,
        options={one: request.options.get(one) for one in platforms},
        ai_generated=request.ai_generated,
        first_comment=request.first_comment,
    )
