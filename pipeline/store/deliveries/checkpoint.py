"""Checkpoints: how far the invisible preparation of a delivery got."""

from __future__ import annotations

from sqlalchemy import Connection

from adapters.contract import CheckpointData
from pipeline.store.database import row
from pipeline.store.deliveries.claimed import ClaimedDelivery
from pipeline.store.vault import Vault


def save_checkpoint(
    c: Connection, vault: Vault, claimed: ClaimedDelivery, checkpoint: CheckpointData, *, scratch: bool
) -> bool:
    """Store a checkpoint; False when the claim is lost. ``scratch``: this prepare began without an earlier one."""
    return (
        row(
            c,
            """UPDATE deliveries SET checkpoint = :checkpoint, updated_at = now(),
                      prepares = CASE WHEN NOT :scratch THEN prepares
                                      WHEN prepares_on = CURRENT_DATE THEN prepares + 1 ELSE 1 END,
                      prepares_on = CASE WHEN :scratch THEN CURRENT_DATE ELSE prepares_on END
               WHERE id = :id AND state = :state AND generation = :generation AND fence = :fence RETURNING id""",
            id=claimed.id,
            state=claimed.state,
            generation=claimed.generation,
            fence=claimed.fence,
            checkpoint=vault.seal(checkpoint, claimed.id),
            scratch=scratch,
        )
        is not None
    )
