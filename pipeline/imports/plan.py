"""Planning: read a chunk of rows, validate it, and store rows, counts and position in one transaction.

Nothing else is changed. The plan's hash is a chain over all rows, and begins with the workspace and the import: it is
that of one import alone, and the same whatever chunks the file was read in.

Rows are staged in a local file, where they are read at any position, which storage and compression do not allow. It
is made by the first step on a machine and used by the next ones. One that is lost is made again, byte for byte the
same, so that positions stay valid.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from uuid import UUID, uuid4

from pydantic_core import to_json
from sqlalchemy import Connection

from pipeline.actions.edit import check_edit
from pipeline.domain.bulk_import import ImportState, RowVerdict
from pipeline.domain.post import PostStatus
from pipeline.imports import validate
from pipeline.imports.apply import build_change
from pipeline.imports.cells import parse_accounts
from pipeline.imports.columns import Columns, Format, ImportRow
from pipeline.imports.convert import convert_file
from pipeline.imports.export import build_body
from pipeline.imports.import_slice import ImportSlice, warn_of_rows
from pipeline.imports.read import Staged, open_rows
from pipeline.imports.validate import AccountNames, KnownPosts, MediaNames, ParsedRow, PostFormat
from pipeline.runtime.context import Context
from pipeline.runtime.failpoint import failpoint
from pipeline.stages.deadline import BEATS_PER_LEASE, Heartbeat
from pipeline.stages.ingest import Outcome, plan_submission
from pipeline.stages.new_post import IngestCaches, PostPlan, RuleInputs, Submission, build_caches
from pipeline.stages.post_request import Refusal
from pipeline.stages.posting_times import LOOK_BACK, assign_times
from pipeline.stages.replay import is_equal
from pipeline.store import jobs
from pipeline.store.accounts.accounts import find_accounts
from pipeline.store.accounts.posting_times import list_taken
from pipeline.store.files.files import list_named
from pipeline.store.health import database_now
from pipeline.store.imports import imports as store
from pipeline.store.imports import rows as row_store
from pipeline.store.imports.imports import Import
from pipeline.store.imports.rows import RowRecord
from pipeline.store.posts.idempotency import Replay, find_replays
from pipeline.store.posts.views import read_posts

T = TypeVar("T")
PIECE = 4 * 1024 * 1024
KEPT_S = 24 * 3600.0
"""Age in seconds after which a copy that no step has removed is removed."""


def prepare_file(
    context: Context, job: Import, columns: Columns, on_piece: Callable[[], None]
) -> tuple[Path, Staged | None]:
    """Return the staged rows of a file, and what is known of them if they were staged now.

    *on_piece*: called between two pieces of it. Raises FileProblem and StorageUnavailable, and for a spreadsheet
    what ``convert_file`` does.
    """
    folder = context.settings.folder / "imports"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    staged = folder / f"{job.id}.rows"
    if staged.exists():
        return staged, None
    _remove_old(folder)
    sent, made = folder / f"{job.id}.{uuid4().hex}", folder / f"{job.id}.{uuid4().hex}.made"
    try:
        _copy_from_storage(context, job, sent, on_piece)
        known = convert_file(
            sent,
            made,
            Format(job.format),
            context.settings.imports,
            columns,
            content_encoding=job.encoding,
            encoding=job.text_encoding,
            dates=job.dates,
            on_piece=on_piece,
        )
        made.replace(staged)  # two steps may make it at once, each under a name of its own
        return staged, known
    finally:
        sent.unlink(missing_ok=True)
        made.unlink(missing_ok=True)


def _copy_from_storage(context: Context, job: Import, target: Path, on_piece: Callable[[], None]) -> None:
    reader = context.files.storage.open(job.object, 0, job.size)
    try:
        with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            while piece := reader.read(PIECE):
                file.write(piece)
                on_piece()
    finally:
        reader.close()


def remove_copies(context: Context, job: Import) -> None:
    """Remove what this machine has of an import's file."""
    for path in (context.settings.folder / "imports").glob(f"{job.id}*"):
        path.unlink(missing_ok=True)


def _remove_old(folder: Path) -> None:
    for path in folder.iterdir():
        with suppress(OSError):  # another process may remove it first
            if path.stat().st_mtime < time.time() - KEPT_S:
                path.unlink(missing_ok=True)


class ReadRow(NamedTuple):
    """A row with its body and its post request, or why it has none."""

    row: ImportRow
    parsed: tuple[Mapping[str, Any], Submission] | Refusal
    is_last: bool


def plan_rows(work: ImportSlice) -> None:
    """Plan chunks while the slice lasts. Raises FileProblem, StorageUnavailable, Unreachable."""
    context, job = work.context, work.job
    heartbeat = Heartbeat(extend=work.extend, every=jobs.LEASE.total_seconds() / BEATS_PER_LEASE)
    columns = work.form.columns.rename(job.columns)
    path, staged = prepare_file(context, job, columns, heartbeat.beat_if_due)
    lines = open_rows(
        path,
        Format(job.format),
        context.settings.imports,
        columns=columns,
        time_zone=job.time_zone,
        blank=job.blank or "",
        position=job.position,
        number=job.rows,
    )
    caches, read = build_caches(context), _read_rows(work, lines)
    while True:
        with work.resting():
            found = work.take(read)
            failpoint("imports.read", job.id)
            after = _plan_chunk(work, caches, found, staged)
        failpoint("imports.planned", job.id)
        if _is_end(found):
            remove_copies(context, job)
        if after is None:
            return
        work.job = after


def _read_rows(work: ImportSlice, lines: Iterator[ImportRow]) -> Iterator[ReadRow]:
    caller = work.caller
    find = cache(partial(_read, work, find_accounts, caller.workspace_id))
    names = AccountNames(caller, find, parse_accounts(work.job.accounts))
    sent = _read(work, store.read_media, work.job.id)
    media = MediaNames(sent, cache(partial(_read, work, list_named, caller)))
    row = next(lines, None)
    while row is not None:
        try:
            parsed: tuple[Mapping[str, Any], Submission] | Refusal = validate.parse_row(
                caller, names, media, work.form, row
            )
        except Refusal as refusal:
            parsed = refusal
        after = next(lines, None)
        yield ReadRow(row, parsed, after is None)
        row = after


def _read(work: ImportSlice, read: Callable[..., T], *about: Any) -> T:
    with jobs.begin_step(work.context.database) as c:
        return read(c, *about)


def _is_end(found: Sequence[ReadRow]) -> bool:
    return not found or found[-1].is_last


def _plan_chunk(
    work: ImportSlice, caches: IngestCaches, found: Sequence[ReadRow], staged: Staged | None
) -> Import | None:
    with jobs.begin_step(work.context.database) as c:
        if not store.lock_step(c, work.job):
            return None
        records = evaluate_chunk(work, c, caches, found)
        row_store.store_rows(c, work.job.id, records)
        failpoint("imports.rows-stored", work.job.id)
        return _store_progress(work, c, found, records, staged)


def evaluate_chunk(
    work: ImportSlice, c: Connection, caches: IngestCaches, found: Sequence[ReadRow]
) -> list[RowRecord]:
    """Return the records of rows that follow those of the import, in order."""
    context, job = work.context, work.job
    refused = [_refuse_unread(row, refusal) for row, refusal, _ in found if isinstance(refusal, Refusal)]
    good = [(row, *parsed) for row, parsed, _ in found if not isinstance(parsed, Refusal)]
    names = [validate.identify(context, submission) for _, _, submission in good]
    earlier = row_store.find_earlier(c, job.id, job.rows, set(names))
    seen: Counter[str] = Counter({name: row.occurrence for name, row in earlier.items()})
    parsed_rows = []
    for (row, body, submission), name in zip(good, names, strict=True):
        seen[name] += 1
        occurrence = 0 if submission.request.external_id is not None else seen[name]
        parsed_rows.append(
            ParsedRow(row=row, body=body, submission=submission, identity=name, occurrence=occurrence)
        )
    records = [*refused, *_evaluate_parsed(work, c, caches, parsed_rows, earlier)]
    return sorted(records, key=lambda record: record.number)


def _evaluate_parsed(
    work: ImportSlice,
    c: Connection,
    caches: IngestCaches,
    parsed: Sequence[ParsedRow],
    earlier: Mapping[str, row_store.EarlierRow],
) -> list[RowRecord]:
    context = work.context
    facts = caches.read(c, [row.submission for row in parsed])
    outcomes = [plan_submission(context, c, facts, row.submission, row.token) for row in parsed]
    outcomes = _find_times(work, c, outcomes)
    window = timedelta(seconds=context.settings.ingest.dedupe_window)
    replays = find_replays(
        c, [(row.submission.workspace, row.token) for row in parsed], window, importing=True
    )
    current, canceled = _read_current(c, work.form, parsed, replays)
    inputs = RuleInputs(context, work.caller, facts)
    known = KnownPosts(
        earlier=earlier,
        replays=replays,
        current=current,
        canceled=canceled,
        inputs=inputs,
        find_edit_problem=partial(_find_edit_problem, work, c),
    )
    return warn_of_rows(work, c, outcomes, list(validate.evaluate_rows(work.job, parsed, outcomes, known)))


def _find_times(work: ImportSlice, c: Connection, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Give the rows that ask for free posting times those that they would get now; applying finds them anew."""
    plans = {n: one for n, one in enumerate(outcomes) if isinstance(one, PostPlan)}
    new = {i for plan in plans.values() for i in plan.submission.request.autos} - work.taken.keys()
    if new:
        stored = list_taken(c, new, database_now(c) - LOOK_BACK)
        planned = row_store.list_found_times(c, work.job.id, new)
        work.taken |= {i: [*stored.get(i, ()), *planned.get(i, ())] for i in new}
    refused = assign_times(c, plans, work.taken)
    return [refused.get(n, one) for n, one in enumerate(outcomes)]


def _find_edit_problem(work: ImportSlice, c: Connection, row: ParsedRow, post_id: UUID) -> Exception | None:
    try:
        check_edit(work.context, c, work.caller, post_id, build_change(work.context, row.request))
    except Exception as error:  # noqa: BLE001  a refusal, or a bug in a platform's rules: other rows go on
        return error
    return None


def _read_current(
    c: Connection, form: PostFormat, parsed: Sequence[ParsedRow], replays: Mapping[tuple[UUID, str], Replay]
) -> tuple[dict[UUID, bytes], set[UUID]]:
    """Return the present fingerprints of the posts that are to be compared as they are now, and which are canceled."""
    canceled = {r.post_id for r in replays.values() if r.status == PostStatus.CANCELED}
    requested = {row.post_id for row in parsed if row.post_id is not None}
    for row in parsed:
        replay = replays.get((row.submission.workspace, row.token))
        if replay is not None and not is_equal(row.request, replay):
            requested.add(replay.post_id)
    if not requested:
        return {}, canceled
    caller = parsed[0].submission.caller
    current = {}
    for post in read_posts(c, caller.workspace_id, requested, caller.accounts):
        try:
            current[post.id] = form.read(build_body(post)).fingerprint
        except Refusal:  # accepted under other rules, such as a longer caption: it equals no row
            current[post.id] = b""
        if post.status == PostStatus.CANCELED:
            canceled.add(post.id)
    return current, canceled


def _refuse_unread(row: ImportRow, refusal: Refusal) -> RowRecord:
    return RowRecord(
        number=row.number,
        line=row.line,
        verdict=RowVerdict.REJECTED,
        issues=make_storable(validate.describe_refusal(refusal)),
        source=make_storable(row.source),
    )


def make_storable(value: Any) -> Any:
    """Return a value of a file without what JSON in the database cannot hold: NUL and lone surrogates."""
    if isinstance(value, list | tuple):
        return [make_storable(one) for one in value]
    if isinstance(value, dict):
        return {name: make_storable(one) for name, one in value.items()}
    if not isinstance(value, str):
        return value
    return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _store_progress(
    work: ImportSlice,
    c: Connection,
    found: Sequence[ReadRow],
    records: Sequence[RowRecord],
    staged: Staged | None,
) -> Import | None:
    job = work.job
    counts = Counter(r.verdict for r in records)
    before = job.plan or {}
    counted = {
        "changed": before.get("changed", 0) + sum(r.action == "update" for r in records),
        "warnings": before.get("warnings", 0) + sum(r.warnings is not None for r in records),
    }
    digest = extend_digest(job.plan_hash or job.workspace_id.bytes + job.id.bytes, records)
    changes: dict[str, Any] = {
        "rows": job.rows + len(records),
        "accepted": job.accepted + counts[RowVerdict.ACCEPTED],
        "duplicate": job.duplicate + counts[RowVerdict.DUPLICATE],
        "rejected": job.rejected + counts[RowVerdict.REJECTED],
        "position": found[-1].row.next_position if found else job.position,
        "plan_hash": digest,
        "notes": [*dict.fromkeys([*job.notes, *(() if staged is None else staged.notes)])],
        "total": job.total if staged is None else staged.rows,
        "plan": counted,
    }
    if _is_end(found):
        changes |= {"state": ImportState.PLANNED, "plan": _summarize(counted, changes)}
    return work.finish_chunk(c, **changes)


def extend_digest(digest: bytes, records: Sequence[RowRecord]) -> bytes:
    """Return the plan's hash so far with these rows."""
    for r in records:
        body = r.source if r.fingerprint is None else r.fingerprint.hex()
        codes = [i.get("code") for i in r.issues or ()]
        facts = (r.number, r.verdict, r.action, body, r.accounts, r.identity, r.occurrence, r.post_id, codes)
        digest = hashlib.sha256(digest + to_json(facts)).digest()
    return digest


def _summarize(counted: Mapping[str, int], counts: Mapping[str, int]) -> dict[str, int]:
    """Return what the plan does, counted."""
    return {
        "new": counts["accepted"] - counted["changed"],
        "changed": counted["changed"],
        "duplicate": counts["duplicate"],
        "rejected": counts["rejected"],
        "warnings": counted["warnings"],
    }
