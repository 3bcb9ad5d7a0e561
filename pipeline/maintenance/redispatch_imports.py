"""Dispatch the next step of imports whose message was lost, or whose worker died."""

from __future__ import annotations

from datetime import timedelta

from pipeline.context import Context
from pipeline.store.imports.imports import list_unclaimed

IDLE = timedelta(seconds=5)
"""For so long no worker has had the import: a message takes less, unless the queue is long."""
BATCH = 100


def redispatch_imports(context: Context) -> int:
    """Return how many imports were dispatched."""
    with context.database.begin() as c:
        found = list_unclaimed(c, IDLE, BATCH)
    context.dispatcher.send_imports(found)
    return len(found)
