"""Planning: read a chunk of rows, judge it, and store rows, counts and position in one transaction.

Nothing else is changed. The plan's hash is a chain over all chunks: two plans with the same hash do the same.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import islice
from typing import Any
from uuid import UUID

from pydantic_core import to_json
from sqlalchemy import Connection

from pipeline.bulk import judge
from pipeline.bulk.export import build_body
from pipeline.bulk.formats import Format, ImportRow
from pipeline.bulk.import_slice import CHUNK, LEASE, ImportSlice
from pipeline.bulk.judge import AccountNames, KnownPosts, ParsedRow, PostFormat
from pipeline.bulk.local_file import build_limits, prepare_file, remove_copies
from pipeline.bulk.read import open_rows
from pipeline.context import Context
from pipeline.domain.bulk_import import ImportState, RowVerdict
from pipeline.failpoint import failpoint
from pipeline.stages.ingest import build_caches, plan_submission
from pipeline.stages.ingest_caches import IngestCaches
from pipeline.stages.new_post import Submission
from pipeline.stages.post_request import Refusal
from pipeline.stages.replay import is_equal
from pipeline.stages.rule_inputs import RuleInputs
from pipeline.store import jobs
from pipeline.store.accounts.accounts import find_accounts
from pipeline.store.imports import imports as store
from pipeline.store.imports import rows as row_store
from pipeline.store.imports.imports import Import
from pipeline.store.imports.rows import RowRecord
from pipeline.store.posts.idempotency import Replay, find_replays
from pipeline.store.posts.views import read_posts


def plan_rows(work: ImportSlice) -> None:
    """Plan chunks while the slice lasts. Raises FileProblem, StorageUnavailable, Unreachable."""
    context, job = work.context, work.job
    path, notes = prepare_file(context, job, lambda: _extend(context, job))
    lines = open_rows(
        path,
        Format(job.format),
        build_limits(context),
        columns=work.form.columns,
        time_zone=job.time_zone,
        position=job.position,
        number=job.rows,
    )
    caches = build_caches(context)
    while True:
        with work.resting():
            found = list(islice(lines, CHUNK))
            failpoint("imports.read", job.id)
            after = _plan_chunk(work, caches, found, notes)
        failpoint("imports.planned", job.id)
        if len(found) < CHUNK:
            remove_copies(context, job)
        if after is None:
            return
        work.job = after


def _plan_chunk(
    work: ImportSlice, caches: IngestCaches, found: Sequence[ImportRow], notes: Sequence[str]
) -> Import | None:
    with work.context.database.begin() as c:
        if not store.lock_step(c, work.job):
            return None
        store.avoid_table_scans(c)
        records = judge_chunk(work, c, caches, found)
        row_store.store_rows(c, work.job.id, records)
        failpoint("imports.rows-stored", work.job.id)
        return _store_progress(work, c, found, records, notes)


def judge_chunk(
    work: ImportSlice, c: Connection, caches: IngestCaches, found: Sequence[ImportRow]
) -> list[RowRecord]:
    """Return the records of rows that follow those of the import, in order."""
    context, job, caller, form = work.context, work.job, work.caller, work.form
    names = AccountNames(caller, lambda: find_accounts(c, caller.workspace_id))
    refused: dict[int, RowRecord] = {}
    bodies: dict[int, tuple[ImportRow, Mapping[str, Any], Submission]] = {}
    for number, row in enumerate(found, job.rows + 1):
        try:
            bodies[number] = (row, *judge.parse_row(caller, names, form, row))
        except Refusal as refusal:
            refused[number] = _refuse_unread(number, row, refusal)
    identities = {n: judge.identify(context, submission) for n, (_, _, submission) in bodies.items()}
    earlier = row_store.find_earlier(c, job.id, job.rows, set(identities.values()))
    seen: Counter[str] = Counter({name: row.count for name, row in earlier.items()})
    parsed = []
    for number, (row, body, submission) in bodies.items():
        name = identities[number]
        seen[name] += 1
        occurrence = 0 if submission.request.external_id is not None else seen[name]
        parsed.append(
            ParsedRow(
                row=row, number=number, body=body, submission=submission, identity=name, occurrence=occurrence
            )
        )
    judged = refused | {record.number: record for record in _judge_parsed(work, c, caches, parsed, earlier)}
    return [judged[number] for number in sorted(judged)]


def _judge_parsed(
    work: ImportSlice,
    c: Connection,
    caches: IngestCaches,
    parsed: Sequence[ParsedRow],
    earlier: Mapping[str, row_store.EarlierRow],
) -> list[RowRecord]:
    context = work.context
    facts = caches.read(c, [row.submission for row in parsed])
    outcomes = [plan_submission(context, c, facts, row.submission, [row.token]) for row in parsed]
    window = timedelta(seconds=context.settings.ingest.dedupe_window)
    replays = find_replays(c, [(row.submission.workspace, row.token) for row in parsed], window)
    current = _read_current(c, work.form, parsed, replays)
    inputs = RuleInputs(context, work.caller, facts)
    known = KnownPosts(earlier=earlier, replays=replays, current=current, inputs=inputs)
    return list(judge.judge_rows(work.job, parsed, outcomes, known))


def _read_current(
    c: Connection, form: PostFormat, parsed: Sequence[ParsedRow], replays: Mapping[tuple[UUID, str], Replay]
) -> dict[UUID, bytes]:
    """Return the fingerprints of posts as they are now, of those that are to be compared so."""
    wanted = {row.post_id for row in parsed if row.post_id is not None}
    for row in parsed:
        replay = replays.get((row.submission.workspace, row.token))
        if replay is not None and not is_equal(row.request, replay):
            wanted.add(replay.post_id)
    if not wanted:
        return {}
    caller = parsed[0].submission.caller
    current = {}
    for post in read_posts(c, caller.workspace_id, wanted, caller.accounts):
        try:
            current[post.id] = form.read(build_body(post)).fingerprint
        except Refusal:  # accepted under other rules, such as a longer caption: it equals no row
            current[post.id] = b""
    return current


def _refuse_unread(number: int, row: ImportRow, refusal: Refusal) -> RowRecord:
    return RowRecord(
        number=number,
        line=row.line,
        verdict=RowVerdict.REJECTED,
        issues=judge.describe_refusal(refusal),
        source=make_storable(row.source),
    )


def make_storable(value: Any) -> Any:
    """Return a value of a file without what JSON in the database cannot hold: NUL and lone surrogates."""
    if isinstance(value, Mapping):
        return {make_storable(k): make_storable(v) for k, v in value.items()}
    if not isinstance(value, str):
        return value
    return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _store_progress(
    work: ImportSlice,
    c: Connection,
    found: Sequence[ImportRow],
    records: Sequence[RowRecord],
    notes: Sequence[str],
) -> Import | None:
    job = work.job
    counts = Counter(r.verdict for r in records)
    digest = extend_digest(job.plan_hash or b"", records)
    changes: dict[str, Any] = {
        "rows": job.rows + len(records),
        "accepted": job.accepted + counts[RowVerdict.ACCEPTED],
        "duplicate": job.duplicate + counts[RowVerdict.DUPLICATE],
        "rejected": job.rejected + counts[RowVerdict.REJECTED],
        "position": found[-1].next_position if found else job.position,
        "plan_hash": digest,
        "notes": [*(notes or job.notes)],
    }
    if len(found) < CHUNK:
        changes |= {"state": ImportState.PLANNED, "plan": summarize(c, job)}
    return work.finish_chunk(c, **changes)


def extend_digest(digest: bytes, records: Sequence[RowRecord]) -> bytes:
    """Return the plan's hash so far with these rows."""
    facts = [
        (
            r.number,
            r.verdict,
            r.action,
            r.identity,
            r.occurrence,
            r.post_id and r.post_id.hex,
            [i.get("code") for i in r.issues or ()],
        )
        for r in records
    ]
    return hashlib.sha256(digest + to_json(facts)).digest()


def summarize(c: Connection, job: Import) -> dict[str, Any]:
    """Return what the plan does, counted."""
    counted = row_store.count_rows(c, job.id)
    return {
        "new": counted.get(("accepted", "create"), 0),
        "changed": counted.get(("accepted", "update"), 0),
        "duplicate": counted.get(("duplicate", None), 0),
        "rejected": counted.get(("rejected", None), 0),
    }


def _extend(context: Context, job: Import) -> None:
    with context.database.begin() as c:
        jobs.change(c, store.JOBS, job.id, LEASE)
