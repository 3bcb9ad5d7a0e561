"""Dispatch the next step of steering jobs whose message was lost, or whose worker died; delete expired receipts."""

from __future__ import annotations

from datetime import timedelta

from pipeline.context import Context
from pipeline.maintenance.redispatch_imports import BATCH, IDLE
from pipeline.store.steering.jobs import delete_expired, list_unclaimed

ROWS = 5_000
"""Receipts deleted in one transaction."""


def redispatch_steering(context: Context) -> int:
    """Return how many jobs were dispatched. Ended ones are kept as long as the rows of imports."""
    with context.database.begin() as c:
        found = list_unclaimed(c, IDLE, BATCH)
    context.dispatcher.send_steering(found)
    with context.database.begin() as c:
        delete_expired(c, timedelta(days=context.settings.imports.keep_days), ROWS)
    return len(found)
