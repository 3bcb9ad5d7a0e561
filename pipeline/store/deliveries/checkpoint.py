"""Checkpoints: how far the invisible preparation of a delivery got."""

from __future__ import annotations

from sqlalchemy import Connection

from adapters.contract import CheckpointData
from pipeline.store.database import row
from pipeline.store.deliveries.claimed import ClaimedDelivery
from pipeline.store.vault import Vault


def save_checkpoint(
    c: Connection, vault: Vault, held: ClaimedDelivery, checkpoint: CheckpointData, *, scratch: bool
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
            id=held.id,
            state=held.state,
            generation=held.generation,
            fence=held.fence,
            checkpoint=vault.seal(checkpoint, held.id),
            scratch=scratch,
        )
        is not None
    )
