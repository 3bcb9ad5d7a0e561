"""The id up to which no move can turn up any more. Receipts and exports read moves up to it, or account for the rest.

A move gets its id before its transaction commits, so a visible id does not prove that all smaller ones are visible. A
transaction locks ``moves`` for writing before it takes an id, and keeps the lock to its end. So once all transactions
that held the lock when an id had been given have ended, every smaller id is visible: that id is *proven*. Nothing is
waited for and nothing is skipped. (This needs a sequence of ids that sessions do not cache, which is the default.)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from pipeline.store.database import row, rows

_SEEN = "SELECT coalesce(pg_sequence_last_value(CAST(pg_get_serial_sequence('moves', 'id') AS regclass)), 0) AS id"
_WRITERS = """
SELECT DISTINCT virtualtransaction AS id FROM pg_locks
WHERE locktype = 'relation' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND relation = CAST('moves' AS regclass) AND mode = 'RowExclusiveLock' AND granted
"""


def compute_watermark(c: Connection, before: Any) -> Mapping[str, Any]:
    """Return the proven id, and the writers that must end to prove the highest id given.

    ``before``: the row of the reader's progress, with the columns ``proven``, ``seen`` and ``writers`` that the result
    has, too. A later statement of the transaction sees all moves up to the proven id (READ COMMITTED).
    """
    # in this order: a transaction with a smaller id than the one seen holds its lock already
    seen = row(c, _SEEN)
    writers = [r.id for r in rows(c, _WRITERS)]
    highest: int = 0 if seen is None else seen.id
    if not writers:
        return {"proven": highest, "seen": highest, "writers": []}
    if set(before.writers).isdisjoint(writers):
        return {"proven": before.seen, "seen": highest, "writers": writers}
    return {"proven": before.proven, "seen": before.seen, "writers": before.writers}
