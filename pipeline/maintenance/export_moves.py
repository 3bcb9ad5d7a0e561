"""Export moves: hand every move once, in order, to the consumers of ``pipeline/signals``, and fold what they count."""

from __future__ import annotations

from pipeline.context import Context
from pipeline.failpoint import failpoint
from pipeline.signals import CONSUMERS
from pipeline.store.counters.counters import compact_deltas
from pipeline.store.moves.read import Batch, read_batch, record_pauses, save_position

BATCH, BATCHES = 1000, 20
"""Ids of moves per transaction, and transactions per run: other jobs wait in the same queue."""


def export_moves(context: Context, *, batch: int = BATCH, batches: int = BATCHES) -> int:
    """Export moves and return how many. Of concurrent runs one works, and the others return at once."""
    exported = 0
    for n in range(batches):
        found = _export_batch(context, batch, is_first=n == 0)
        failpoint("export.committed")
        exported += 0 if found is None else len(found.moves)
        if found is None or found.is_last:
            break
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
        save_position(c, found)
        failpoint("export.positioned")
    return found
