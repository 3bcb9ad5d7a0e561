"""Compact the rollups of posts: add their appended deltas to the stored totals."""

from __future__ import annotations

from pipeline.runtime.context import Context
from pipeline.store.rollups.settled_counts import compact


def compact_rollups(context: Context) -> int:
    """Return how many deltas were added."""
    with context.database.begin() as c:
        return compact(c)
