"""Keeping a claim while one long step goes on: a lease is written again as long as bytes move."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Connection

from pipeline.store.database import row
from pipeline.store.held import Held


def extend(c: Connection, held: Held, lease: timedelta) -> bool:
    """Writes the lease anew, from now; False when the claim was lost (rescued, edited, cancelled) or has run out."""
    found = row(
        c,
        """UPDATE deliveries SET lease_until = now() + :lease
           WHERE id = :id AND state = 'publishing' AND generation = :generation AND fence = :fence
             AND lease_until > now() RETURNING id""",
        id=held.id, generation=held.generation, fence=held.fence, lease=lease,
    )  # fmt: skip
    return found is not None
