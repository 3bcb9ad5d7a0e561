"""Disarm a delivery: the platform refused the visible call before acting on it, which proves nothing is live."""

from __future__ import annotations

from sqlalchemy import Connection

from pipeline.store.database import jsonb, row
from pipeline.store.deliveries.claimed import ClaimedDelivery
from pipeline.store.deliveries.error_fields import error_to_dict


def disarm(c: Connection, claimed: ClaimedDelivery, error: Exception | None) -> None:
    """Close the attempt as refused; the claim stays. Does nothing when the claim is lost."""
    row(
        c,
        """WITH d AS (
               UPDATE deliveries SET armed_at = NULL, armed_deadline = NULL, working_since = NULL, updated_at = now()
               WHERE id = :id AND state = 'publishing' AND generation = :generation AND fence = :fence
               RETURNING id
           )
           UPDATE attempts SET closed_at = now(), outcome = 'refused', error = CAST(:error AS jsonb)
           FROM d WHERE delivery_id = d.id AND closed_at IS NULL RETURNING d.id""",
        id=claimed.id,
        generation=claimed.generation,
        fence=claimed.fence,
        error=jsonb(error_to_dict(error)),
    )
