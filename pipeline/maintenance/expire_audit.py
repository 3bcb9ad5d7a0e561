"""Delete old audit rows and idempotency keys.

Audit rows are kept for as long as the setting says, by default for ever; keys for a day.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import Connection

from pipeline.runtime.context import Context
from pipeline.store import idempotency_keys
from pipeline.store.audit import delete_expired

ROWS = 5_000
"""Deleted in one transaction."""


def expire_audit(context: Context) -> int:
    """Return how many rows were deleted."""
    total = _delete_all(context, lambda c: idempotency_keys.delete_expired(c, ROWS))
    if keep := context.settings.audit.keep_days:
        total += _delete_all(context, lambda c: delete_expired(c, timedelta(days=keep), ROWS))
    return total


def _delete_all(context: Context, delete: Callable[[Connection], int]) -> int:
    deleted, total = ROWS, 0
    while deleted == ROWS:
        with context.database.begin() as c:
            deleted = delete(c)
        total += deleted
    return total
