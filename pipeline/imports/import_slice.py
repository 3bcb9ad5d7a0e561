"""A slice of an import: the chunks that one message does, one after the other.

Also warnings about rows whose posts would be too close to another of an account, or have its caption or media.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.account import KeyLimits
from pipeline.domain.bulk_import import WORKING
from pipeline.domain.neighbours import Lines
from pipeline.imports.validate import Issue, PostFormat
from pipeline.runtime.context import Context
from pipeline.runtime.job_loop import next_chunk_size
from pipeline.stages.ingest import Outcome
from pipeline.stages.new_post import PostPlan
from pipeline.stages.warnings import place, warn_of_neighbours
from pipeline.store import jobs
from pipeline.store.auth.keys import Caller, count_posts
from pipeline.store.imports import imports as store
from pipeline.store.imports.imports import Import
from pipeline.store.imports.rows import RowRecord
from pipeline.store.jobs import LEASE
from pipeline.store.posts.idempotency import has_requests
from pipeline.store.posts.insert_batch import find_neighbours

T = TypeVar("T")
READING = 1.0
"""Seconds after which no more rows of a file are read for a chunk."""
CHUNK, CHUNK_BESIDE_REQUESTS = 500, 25
"""Rows of one transaction at most; and posts of one while requests make posts as well."""
REST = 4.0
"""How many times as long as such a chunk took the import rests after it. The p99 of requests is then 1.6 times that
without an import, and 10 times without small chunks and rests (`bulk` of tests/bench, on two cores)."""
MAX_REST = 2.0
"""Seconds."""
MOST_LINES = 100_000
"""Accounts' parts of rows that later rows of a slice are compared with; some 30 MB."""
REQUESTS_SECONDS, ASK_SECONDS = 10.0, 0.5
"""How long a request's post is remembered, and how often the database is asked for one."""


class DayFull(Exception):
    """The key may send no more posts today."""


@dataclass(kw_only=True, slots=True)
class ImportSlice:
    """One claim of an import. ``job``: as it stands after the last chunk that was committed."""

    context: Context
    job: Import
    caller: Caller
    form: PostFormat
    until: float = 0.0
    """By the monotonic clock: no chunk begins later, but for the first."""
    size: int = CHUNK
    """Rows of the next chunk."""
    taken: dict[UUID, list[datetime]] = field(default_factory=dict)
    """The times that posts and rows of accounts have taken, as far as rows asked for free ones."""
    lines: Lines = field(default_factory=lambda: Lines(MOST_LINES))
    """The accounts' parts of the new posts that were planned in this slice."""
    _asked_at: float = -ASK_SECONDS
    _met_at: float = -REQUESTS_SECONDS

    def may_go_on(self) -> bool:
        """Return whether there is time for one more chunk: not once the worker shuts down."""
        return time.monotonic() < self.until and self.context.shutdown.time_left() is None

    def is_beside_requests(self) -> bool:
        """Return whether requests have made posts within ``REQUESTS_SECONDS``. Asks once in ``ASK_SECONDS``."""
        now = time.monotonic()
        if now - self._asked_at >= ASK_SECONDS:
            self._asked_at = now
            with self.context.database.read() as c:
                if has_requests(c, datetime.now(UTC) - timedelta(seconds=REQUESTS_SECONDS)):
                    self._met_at = now
        return now - self._met_at < REQUESTS_SECONDS

    def take(self, items: Iterator[T]) -> Sequence[T]:
        """Return the items of a chunk: fewer once the time for reading them is over."""
        end, found = time.monotonic() + READING, []
        for item in islice(items, self.size):
            found.append(item)
            if time.monotonic() > end:
                break
        return found

    def extend(self) -> bool:
        """Extend the lease; False if another worker has the import, or it was stopped."""
        with jobs.begin_step(self.context.database) as c:
            if is_ours := store.lock_step(c, self.job):
                jobs.change(c, store.JOBS, self.job.id, LEASE)
            return is_ours

    def shrink(self) -> bool:
        """Make chunks a quarter as large, as the database ended a statement; False if that cannot be tried now."""
        is_smallest, self.size = self.size == 1, max(1, self.size // 4)
        return not is_smallest and self.context.shutdown.time_left() is None and self.extend()

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Size the next chunk by the time of this one, and leave the processors to requests, if there are some."""
        start = time.monotonic()
        yield
        self.size = min(CHUNK, next_chunk_size(self.size, time.monotonic() - start))
        if self.is_beside_requests() and self.may_go_on():
            # the pace of the import, not a wait for something; short, as its lease and a shutdown go on
            time.sleep(min(REST * (time.monotonic() - start), MAX_REST))

    @property
    def day_limit(self) -> int:
        """Posts that the key may send in a day; 0: no limit."""
        if self.caller.stored_key is None:
            return 0
        server = KeyLimits(posts_per_day=self.context.settings.api.posts_per_day)
        return self.caller.limits.over(server).posts_per_day or 0

    def count_room(self, c: Connection) -> int:
        """Return how many posts the key may still send today. Only with a limit."""
        return max(0, self.day_limit - count_posts(c, self.caller.key_id, 0, self.day_limit).posts)

    def count_rows(self, c: Connection, rows: int) -> None:
        """Count rows as posts that the key sends today. Raises DayFull if there is no room for all of them."""
        if self.day_limit and not count_posts(c, self.caller.key_id, rows, self.day_limit).is_allowed:
            raise DayFull

    def hold(self) -> None:
        """End the slice; without room for a post today, hold the import until tomorrow."""
        with jobs.begin_step(self.context.database) as c:
            if not store.lock_step(c, self.job):
                return
            count = count_posts(c, self.caller.key_id, 0, self.day_limit)
            if count.posts < self.day_limit:
                jobs.change(c, store.JOBS, self.job.id)
                return
            rest = timedelta(seconds=count.reset)
            until = (datetime.now(UTC) + rest).replace(microsecond=0)
            message = f"The key may send {self.day_limit:,} posts a day (UTC), and none are left today."
            held = {"code": "rate_limited", "message": message, "until": until.isoformat()}
            jobs.change(c, store.JOBS, self.job.id, rest, held=held)

    def finish_chunk(self, c: Connection, **changes: Any) -> Import | None:
        """Store where the import stands after a chunk; None: the claim is released, and the slice is over.

        *changes*: as in ``jobs.change``.
        """
        goes_on = changes.get("state", self.job.state) in WORKING and self.may_go_on()
        after = jobs.change(c, store.JOBS, self.job.id, LEASE if goes_on else None, **changes)
        return after if goes_on else None


def warn_of_rows(
    work: ImportSlice, c: Connection, outcomes: Sequence[Outcome], records: Sequence[RowRecord]
) -> list[RowRecord]:
    """Return the records of a chunk with the warnings of those that make a post. *outcomes*: of each.

    Rows are compared with the stored posts, and with the earlier rows of the same slice: one that goes on after a
    restart knows no earlier ones.
    """
    placed = [
        one
        for record, plan in zip(records, outcomes, strict=True)
        if record.action == "create" and isinstance(plan, PostPlan)
        for one in place(record.number, plan.submission.request, plan.accounts, plan.dues)
    ]
    found = find_neighbours(c, [one.part for one in placed])
    warnings: dict[object, list[Issue]] = defaultdict(list)
    for n, one in enumerate(placed):
        near = [*found.get(n, ()), *work.lines.add(one.part)]
        for w in warn_of_neighbours(one, near, named=work.caller.accounts is None):
            warnings[one.part.post].append({"code": w.code, "path": w.field, "message": w.message})
    return [
        replace(r, warnings=[*(r.warnings or ()), *warnings[r.number]]) if r.number in warnings else r
        for r in records
    ]
