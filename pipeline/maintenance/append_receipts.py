"""Writes a receipt for every last word on a delivery: live, failed, cancelled, and what a person decided."""

from __future__ import annotations

from pipeline.context import Context
from pipeline.failpoint import failpoint
from pipeline.store.receipts.append import add_receipts

BATCH, BATCHES = 500, 20
"""Receipts in a transaction, and transactions at a tick: other chores wait in the same queue."""


def append_receipts(context: Context, *, batch: int = BATCH, batches: int = BATCHES) -> int:
    """How many were written. What a batch left is found again by the next one, whoever works it off."""
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
