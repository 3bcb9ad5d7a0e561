"""Paused deliveries: release and arm pass over them until they are resumed."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.database import rows


def pause_deliveries(c: Connection, ids: Sequence[UUID], job: UUID, why: str) -> None:
    """Pause deliveries, whose rows the caller has locked."""
    rows(
        c,
        """INSERT INTO paused_deliveries (delivery_id, job_id, why)
           SELECT id, :job, :why FROM unnest(CAST(:ids AS uuid[])) AS id
           ON CONFLICT DO NOTHING RETURNING delivery_id""",
        ids=list(ids),
        job=job,
        why=why,
    )


def resume_deliveries(c: Connection, ids: Sequence[UUID]) -> None:
    """Resume deliveries: what the pause held is not taken for late, and their streaks of unavailability end."""
    rows(
        c,
        """WITH lifted AS (
               DELETE FROM paused_deliveries WHERE delivery_id = ANY (CAST(:ids AS uuid[])) RETURNING delivery_id, since
           ), streaks AS (
               UPDATE deliveries d SET unavailable_since = NULL FROM lifted
               WHERE d.id = lifted.delivery_id AND d.state IN ('scheduled', 'retrying')
                 AND d.unavailable_since IS NOT NULL
           )
           INSERT INTO seen_pauses (scope, target, since, seen_at)
           SELECT 'delivery', delivery_id::text, since, clock_timestamp() FROM lifted
           ON CONFLICT (scope, target, since) DO UPDATE SET seen_at = excluded.seen_at RETURNING target""",
        ids=list(ids),
    )
