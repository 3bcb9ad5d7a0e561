"""Rescue: find deliveries whose lease expired, and fence off the worker that may still hold the claim."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.delivery import Mover, Reason, State, get_resume_state, require_move
from pipeline.store.database import jsonb, row, rows
from pipeline.store.deliveries.error_fields import error_to_dict
from pipeline.store.deliveries.move import lock_post, move, recompute_post_status
from pipeline.store.health import database_now


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpiredLease:
    """A publishing delivery whose lease expired."""

    id: UUID
    post_id: UUID
    platform: str
    generation: int
    fence: int
    crashes: int
    armed_at: datetime | None
    request_id: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Rescue:
    """The result for a delivery whose lease expired."""

    target: State
    why: str
    reason: Reason | None = None
    wait: timedelta = timedelta(0)
    error: Exception | None = None


def list_expired_leases(c: Connection, limit: int) -> list[ExpiredLease]:
    """Return publishing deliveries whose lease expired, oldest first: their worker died or hangs."""
    found = rows(
        c,
        """SELECT id, post_id, platform, generation, fence, crashes, armed_at,
                  (SELECT request_id FROM posts p WHERE p.id = post_id) AS request_id
           FROM deliveries WHERE state = 'publishing' AND lease_until < now() ORDER BY lease_until LIMIT :n""",
        n=limit,
    )
    return [ExpiredLease(**r._mapping) for r in found]


def rescue(c: Connection, one: ExpiredLease, how: Rescue, lease: timedelta) -> int | None:
    """Move a delivery and raise its fence, so that its old worker stores nothing more. Return the fence, or None."""
    require_move(State.PUBLISHING, Mover.RESCUE, how.target)
    lock_post(c, one.post_id)
    found = row(
        c,
        """WITH d AS (
               UPDATE deliveries SET state = :target, reason = :reason, fence = fence + 1, crashes = crashes + 1,
                      lease_until = CASE WHEN :target = 'queued' THEN now() + :lease END,
                      next_at = now() + :wait, error = coalesce(CAST(:error AS jsonb), error), updated_at = now()
               WHERE id = :id AND state = 'publishing' AND fence = :fence AND generation = :generation
                 AND lease_until < now() AND (armed_at IS NOT NULL) = :armed
               RETURNING id, generation, fence
           ), move AS (
               INSERT INTO moves (delivery_id, mover, origin, target, generation, fence, why)
               SELECT id, 'rescue', 'publishing', :target, generation, fence, :why FROM d
           )
           SELECT fence FROM d""",
        id=one.id,
        target=how.target,
        reason=how.reason,
        lease=lease,
        wait=how.wait,
        fence=one.fence,
        generation=one.generation,
        armed=one.armed_at is not None,
        why=how.why,
        error=jsonb(error_to_dict(how.error)),
    )
    if found is None:
        return None
    recompute_post_status(c, one.post_id)
    fence: int = found.fence
    return fence


def resume_reconnected(c: Connection, limit: int) -> list[UUID]:
    """Resume deliveries blocked on accounts that are reconnected: armed ones as unknown, the others as retrying.

    Return the ids of the resumed ones.
    """
    found = rows(
        c,
        """SELECT d.id, d.post_id, d.generation, d.armed_at FROM deliveries d JOIN accounts a ON a.id = d.account_id
           WHERE d.state = 'blocked' AND d.reason = 'reconnect' AND a.status = 'active'
           ORDER BY d.post_id, d.id LIMIT :n""",
        n=limit,
    )
    why = "the account is connected again"
    return [
        r.id
        for r in found
        if resume_blocked(c, r.id, r.post_id, r.generation, armed=r.armed_at is not None, why=why)
    ]


def resume_blocked(
    c: Connection,
    delivery: UUID,
    post: UUID,
    generation: int,
    *,
    armed: bool,
    why: str,
    at: datetime | None = None,
) -> bool:
    """Resume a blocked delivery: an armed one as unknown, another as retrying with its open attempt.

    ``at``: not before that time; None: now. A dead letter, which a restore does not put in doubt, is recorded next to
    the epoch file before it is armed: a backup of now says that it was never sent.
    """
    now = at or database_now(c)
    row(
        c,
        """INSERT INTO brought_forward (delivery_id) SELECT id FROM deliveries WHERE id = :id AND state = 'blocked'
           AND reason = 'person_needed' AND armed_at IS NULL ON CONFLICT DO NOTHING RETURNING delivery_id""",
        id=delivery,
    )
    return move(
        c,
        delivery=delivery,
        post=post,
        origin=State.BLOCKED,
        target=get_resume_state(armed=armed),
        mover=Mover.RESUME,
        generation=generation,
        why=why,
        changes={
            "next_at": now,
            "working_since": now if armed else None,
            "crashes": 0,
            "surprises": 0,
            "unavailable_since": None,
        },
    )
