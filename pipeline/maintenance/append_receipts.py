"""Append a receipt for every final move of a delivery: published, failed, cancelled, or resolved by an operator."""

from __future__ import annotations

from pipeline.runtime.context import Context
from pipeline.runtime.failpoint import failpoint
from pipeline.store.receipts.append import add_receipts

BATCH, BATCHES = 500, 20
"""Receipts per transaction, and transactions per run: other jobs wait in the same queue."""


def append_receipts(context: Context, *, batch: int = BATCH, batches: int = BATCHES) -> int:
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
