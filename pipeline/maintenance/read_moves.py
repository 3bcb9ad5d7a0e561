"""Read the moves: append receipts, export moves to the consumers of ``pipeline/webhooks``, and compact rollups.

Keep the texts of posts that searches read: of new posts and of edited ones, within seconds.
"""

from __future__ import annotations

import time

from pipeline.runtime.context import Context
from pipeline.runtime.failpoint import failpoint
from pipeline.store.counters.counters import compact_deltas
from pipeline.store.moves import Batch, read_batch, record_pauses, save_batch
from pipeline.store.posts.texts import save_texts
from pipeline.store.receipts import add_receipts
from pipeline.store.rollups.settled_counts import compact
from pipeline.webhooks import CONSUMERS

BATCH, MOST = 500, 20_000
"""Ids of moves per transaction, and per run: other jobs wait in the same queue. Batches of 100 cost 70 µs of CPU a move
instead of 32, because the index (BRIN) is coarser than that."""
MANY = 5_000
"""With more that wait, a run does not rest."""


def export_moves(context: Context, *, batch: int = BATCH, most: int = MOST) -> int:
    """Export moves and return how many. Of concurrent runs one works, and the others return at once.

    Unless many wait, a run rests after each transaction for as long as it took: the moves of a second, all at once,
    would keep requests waiting for a processor and the disk.
    """
    exported = 0
    for n in range(0, most, batch):
        start = time.monotonic()
        found = _export_batch(context, batch, is_first=n == 0)
        failpoint("export.committed")
        exported += 0 if found is None else len(found.moves)
        if found is None or found.left <= 0:
            break
        if found.left < MANY:
            time.sleep(time.monotonic() - start)  # the pace of the export, not a wait for something
    return exported


def _export_batch(context: Context, limit: int, *, is_first: bool) -> Batch | None:
    """Export one batch: all that is made of it, and the position, are one transaction."""
    with context.database.begin() as c:
        found = read_batch(c, limit)
        if found is None:
            return None
        if is_first:
            record_pauses(c)
            compact_deltas(c)
        for consume in CONSUMERS:
            consume(c, found.moves)
        failpoint("export.consumed")
        save_batch(c, found)
        failpoint("export.positioned")
    return found


RECEIPTS, RECEIPT_BATCHES = 500, 20
"""Receipts per transaction, and transactions per run: other jobs wait in the same queue."""


def append_receipts(context: Context, *, batch: int = RECEIPTS, batches: int = RECEIPT_BATCHES) -> int:
    """Append receipts and return how many. Concurrent runs are safe: each transaction finds what the others left."""
    written = 0
    for _ in range(batches):
        with context.database.begin() as c:
            added = add_receipts(c, batch)
            failpoint("receipts.added")
        failpoint("receipts.committed")
        written += added
        if added < batch:
            break
    return written


def compact_rollups(context: Context) -> int:
    """Return how many deltas were added."""
    with context.database.begin() as c:
        return compact(c)


TEXT_SPAN, MOST_TEXTS = 500, 10_000
"""Ids of moves per transaction, and per run: other jobs wait in the same queue."""


def index_texts(context: Context, *, span: int = TEXT_SPAN, most: int = MOST_TEXTS) -> int:
    """Return how many texts were saved. Of concurrent runs one works, and the others return at once.

    A run rests after each transaction for as long as it took: the texts of a burst, all at once, would keep requests
    waiting for a processor.
    """
    saved = 0
    for _ in range(0, most, span):
        start = time.monotonic()
        with context.database.begin() as c:
            done = save_texts(c, span)
            failpoint("texts.saved")
        failpoint("texts.committed")
        saved += done[0] if done else 0
        if done is None or done[1] <= 0:
            break
        time.sleep(time.monotonic() - start)  # the pace of the job, not a wait for something
    return saved
