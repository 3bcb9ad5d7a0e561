"""Dispatch the next step of imports and steering jobs whose message was lost, or whose worker died."""

from __future__ import annotations

from datetime import timedelta

from pipeline.runtime.context import Context
from pipeline.store.imports import imports
from pipeline.store.jobs import list_unclaimed
from pipeline.store.steering import jobs as steering

IDLE = timedelta(seconds=5)
"""For so long no worker has had the job: a message takes less, unless the queue is long."""
BATCH = 100
RECEIPTS = 5_000
"""Deleted in one transaction."""


def redispatch_imports(context: Context) -> int:
    """Return how many imports were dispatched."""
    with context.database.begin() as c:
        found = list_unclaimed(c, imports.JOBS, IDLE, BATCH)
    context.dispatcher.send_imports(found)
    return len(found)


def redispatch_steering(context: Context) -> int:
    """Return how many steering jobs were dispatched; delete ended ones, which are kept as long as rows of imports."""
    with context.database.begin() as c:
        found = list_unclaimed(c, steering.JOBS, IDLE, BATCH)
    context.dispatcher.send_steering(found)
    with context.database.begin() as c:
        steering.delete_expired(c, timedelta(days=context.settings.imports.keep_days), RECEIPTS)
    return len(found)
