"""Claim queued deliveries for publishing, and due ones for a look: one compare-and-set statement for a batch."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.level import LEVEL
from pipeline.store.database import rows
from pipeline.store.deliveries.claimed import CLAIMED_COLUMNS, CLAIMED_JOIN, ClaimedDelivery, to_claimed_batch
from pipeline.store.recovery.epoch import EPOCH_IS_OPEN
from pipeline.store.vault import Vault

# ``state || ''`` makes the planner find a delivery by its id. By ``state`` it expects as few rows as the last ANALYZE
# saw, and walks that state's partial index with all its dead entries (measured: ten times the cost).
_CLAIM = f"""
WITH due AS (
    SELECT x.id FROM deliveries x
    JOIN unnest(CAST(:ids AS uuid[]), CAST(:generations AS int[])) AS asked (id, generation)
      ON x.id = asked.id AND x.generation = asked.generation
    WHERE x.state || '' = 'queued' AND (x.crashes = 0 OR :single) AND x.level <= :level AND {EPOCH_IS_OPEN}
    ORDER BY x.id FOR UPDATE OF x SKIP LOCKED
), d AS (
    UPDATE deliveries u SET state = 'publishing', held_for = NULL, fence = fence + 1, lease_until = now() + :lease,
           last_attempted_at = now(), updated_at = now()
    FROM due WHERE u.id = due.id
    RETURNING u.*
), attempt AS (
    INSERT INTO attempts (delivery_id, account_id, n, generation, fence)
    SELECT d.id, d.account_id, 1 + (SELECT count(*) FROM attempts x WHERE x.delivery_id = d.id), d.generation, d.fence
    FROM d
    ON CONFLICT (delivery_id) WHERE closed_at IS NULL
    DO UPDATE SET fence = excluded.fence, generation = excluded.generation
), move AS (
    INSERT INTO moves (delivery_id, mover, origin, target, generation, fence)
    SELECT id, 'publish', 'queued', 'publishing', generation, fence FROM d
)
SELECT {CLAIMED_COLUMNS} FROM d {CLAIMED_JOIN}
"""

_CLAIM_LOOK = f"""
WITH due AS (
    SELECT x.id FROM deliveries x
    JOIN unnest(CAST(:ids AS uuid[]), CAST(:generations AS int[]), CAST(:fences AS bigint[]))
      AS asked (id, generation, fence)
      ON x.id = asked.id AND x.generation = asked.generation AND x.fence = asked.fence
    WHERE x.state || '' IN ('preparing', 'processing', 'unknown') AND x.level <= :level AND {EPOCH_IS_OPEN}
    ORDER BY x.id FOR UPDATE OF x SKIP LOCKED
), d AS (
    UPDATE deliveries u SET fence = u.fence + 1, lease_until = now() + :lease, updated_at = now()
    FROM due WHERE u.id = due.id
    RETURNING u.*
)
SELECT {CLAIMED_COLUMNS} FROM d {CLAIMED_JOIN}
"""


def claim(
    c: Connection, vault: Vault, delivery: UUID, generation: int, lease: timedelta, level: int = LEVEL
) -> ClaimedDelivery | None:
    """Claim a queued delivery: raise its fence, set the lease, and open an attempt unless one is open."""
    return next(iter(claim_batch(c, vault, [(delivery, generation)], lease, level)), None)


def claim_batch(
    c: Connection, vault: Vault, items: Sequence[tuple[UUID, int]], lease: timedelta, level: int = LEVEL
) -> list[ClaimedDelivery]:
    """Claim the deliveries of a batch that are queued and not above *level*, in one statement.

    A delivery that has crashed a worker is claimed only as a batch of one, so that its next crash counts for no other.
    A batch of one waits for a locked row instead of skipping it: no other message asks for the delivery.
    """
    single = len(items) == 1
    sql = _CLAIM.replace("SKIP LOCKED", "") if single else _CLAIM
    ids, generations = (list(column) for column in zip(*items, strict=True))
    found = rows(c, sql, ids=ids, generations=generations, lease=lease, single=single, level=level)
    if len(found) < len(items):
        _return_newer(c, level, ids)
    return to_claimed_batch(found, vault)


def claim_look(
    c: Connection,
    vault: Vault,
    delivery: UUID,
    generation: int,
    fence: int,
    lease: timedelta,
    level: int = LEVEL,
) -> ClaimedDelivery | None:
    """Claim a delivery for a look. Dispatch raised the fence, so a second message for the same look claims nothing."""
    return next(iter(claim_looks(c, vault, [(delivery, generation, fence)], lease, level)), None)


def claim_looks(
    c: Connection, vault: Vault, items: Sequence[tuple[UUID, int, int]], lease: timedelta, level: int = LEVEL
) -> list[ClaimedDelivery]:
    """Claim deliveries of a batch whose look is still to be done and that are not above *level*, in one statement."""
    ids, generations, fences = (list(column) for column in zip(*items, strict=True))
    found = rows(c, _CLAIM_LOOK, ids=ids, generations=generations, fences=fences, lease=lease, level=level)
    if len(found) < len(items):
        _return_newer(c, level, ids, fences)
    return to_claimed_batch(found, vault)


def _return_newer(c: Connection, level: int, ids: Sequence[UUID], fences: Sequence[int] = ()) -> None:
    """End the leases of queued deliveries, and of looks with these fences, that are above *level*.

    This process has taken their message. They get another one when a worker runs that understands them.
    """
    rows(
        c,
        """UPDATE deliveries x SET lease_until = now()
           FROM unnest(CAST(:ids AS uuid[]), CAST(:fences AS bigint[])) AS taken (id, fence)
           WHERE x.id = taken.id AND x.level > :level AND (x.state = 'queued'
                 OR x.state IN ('preparing', 'processing', 'unknown') AND x.fence = taken.fence) RETURNING x.id""",
        ids=ids,
        level=level,
        fences=list(fences),
    )
