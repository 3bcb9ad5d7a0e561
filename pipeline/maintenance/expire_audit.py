"""Delete audit rows that are older than the setting allows; by default they are kept for ever."""

from __future__ import annotations

from datetime import timedelta

from pipeline.context import Context
from pipeline.store.audit import delete_expired

ROWS = 5_000
"""Deleted in one transaction."""


def expire_audit(context: Context) -> int:
    """Return how many rows were deleted."""
    keep = context.settings.audit.keep_days
    deleted = ROWS if keep else 0
    total = 0
    while deleted == ROWS:
        with context.database.begin() as c:
            deleted = delete_expired(c, timedelta(days=keep), ROWS)
        total += deleted
    return total
