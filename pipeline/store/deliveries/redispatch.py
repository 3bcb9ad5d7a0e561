"""Dispatch looks that are due, and deliveries and looks whose message was lost.

What no running worker understands gets no message before one that does has taken a message.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import Connection

from pipeline.store.canaries import TOO_NEW
from pipeline.store.database import rows
from pipeline.store.deliveries.message import Message

_DISPATCH_LOOKS = f"""
WITH due AS (
    SELECT id FROM deliveries d
    WHERE state IN ('preparing', 'processing', 'unknown') AND greatest(next_at, lease_until) <= now()
      AND NOT {TOO_NEW}
    ORDER BY greatest(next_at, lease_until) LIMIT :n FOR UPDATE SKIP LOCKED)
UPDATE deliveries x SET fence = fence + 1, lease_until = now() + :lease, updated_at = now()
FROM due WHERE x.id = due.id RETURNING x.id, x.platform, x.generation, x.fence
"""


def dispatch_looks(c: Connection, limit: int, lease: timedelta) -> list[Message]:
    """Dispatch due looks without a lease; raising their fence makes earlier messages for the same look no-ops."""
    return [Message.from_row(r) for r in rows(c, _DISPATCH_LOOKS, n=limit, lease=lease)]


def redispatch_lost(
    c: Connection,
    limit: int,
    lease: timedelta,
    *,
    empty: Sequence[str] = (),
    quiet: timedelta = timedelta(seconds=10),
) -> list[Message]:
    """Dispatch queued deliveries again whose lease expired: their message was lost.

    ``empty``: platforms whose queue holds no message, so that what has been queued for ``quiet`` was lost too.
    """
    found = rows(
        c,
        f"""WITH lost AS (
               SELECT id FROM deliveries d WHERE state = 'queued' AND NOT {TOO_NEW} AND (lease_until < now() OR (
                   platform = ANY(CAST(:empty AS text[])) AND updated_at < now() - CAST(:quiet AS interval)))
               ORDER BY lease_until LIMIT :n FOR UPDATE SKIP LOCKED)
           UPDATE deliveries x SET lease_until = now() + :lease, updated_at = now()
           FROM lost WHERE x.id = lost.id RETURNING x.id, x.platform, x.generation, x.fence""",
        n=limit,
        lease=lease,
        empty=list(empty),
        quiet=quiet,
    )
    return [Message.from_row(r) for r in found]


def redispatch_lost_looks(
    c: Connection,
    limit: int,
    lease: timedelta,
    *,
    claim_lease: timedelta,
    quiet: timedelta = timedelta(seconds=10),
) -> list[Message]:
    """Dispatch looks again that were dispatched ``quiet`` ago or earlier and not claimed, when their queue is empty.

    ``claim_lease``: the lease of a claimed look. A longer one is the lease of a dispatched look.
    """
    found = rows(
        c,
        f"""WITH lost AS (
               SELECT id FROM deliveries d
               WHERE state IN ('preparing', 'processing', 'unknown') AND next_at <= now() AND NOT {TOO_NEW}
                 AND lease_until > now() + CAST(:claim_lease AS interval)
                 AND updated_at < now() - CAST(:quiet AS interval)
               ORDER BY next_at LIMIT :n FOR UPDATE SKIP LOCKED)
           UPDATE deliveries x SET fence = fence + 1, lease_until = now() + :lease, updated_at = now()
           FROM lost WHERE x.id = lost.id RETURNING x.id, x.platform, x.generation, x.fence""",
        n=limit,
        lease=lease,
        claim_lease=claim_lease,
        quiet=quiet,
    )
    return [Message.from_row(r) for r in found]
