"""Leases of deliveries: extend them, give them back, and take expired ones back.

Of a publishing delivery whose lease expired, the worker died or hangs: rescue fences it off. Of a queued one, and of a
look, the message was lost: it is dispatched again. What no running worker understands gets no message before one that
does has taken a message.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.delivery import Mover, Reason, State, get_resume_state, require_move
from pipeline.domain.delivery_error import LAST_LOOK
from pipeline.store.canaries import TOO_NEW
from pipeline.store.database import execute, find_value, has_row, jsonb, read_all, rows
from pipeline.store.deliveries.claim import ClaimedDelivery, Message
from pipeline.store.deliveries.error_fields import error_to_dict
from pipeline.store.deliveries.move import lock_post, move, recompute_post_status
from pipeline.store.health import database_now


def extend_lease(c: Connection, claimed: ClaimedDelivery, lease: timedelta) -> bool:
    """Extend the lease from now; False when the claim was lost (rescued, edited, cancelled) or the lease expired."""
    return has_row(
        c,
        """UPDATE deliveries SET lease_until = now() + :lease
           WHERE id = :id AND state = 'publishing' AND generation = :generation AND fence = :fence
             AND lease_until > now() RETURNING id""",
        **claimed.key,
        lease=lease,
    )


_HELD = """
WITH mine AS (
    SELECT x.id, x.armed_at FROM deliveries x
    JOIN unnest(CAST(:ids AS uuid[]), CAST(:generations AS int[]), CAST(:fences AS bigint[]))
      AS claimed (id, generation, fence)
      ON x.id = claimed.id AND x.generation = claimed.generation AND x.fence = claimed.fence
    WHERE x.state || '' = ANY(CAST(:states AS text[]))
    ORDER BY x.id FOR UPDATE OF x SKIP LOCKED  -- a locked one is being settled by its worker
)
"""

_GIVE_BACK = f"""{_HELD}, d AS (
    UPDATE deliveries u SET state = 'queued', held_for = 'shutdown', fence = fence + 1,
           lease_until = now() + :lease, updated_at = now()
    FROM mine WHERE u.id = mine.id AND mine.armed_at IS NULL
    RETURNING u.id, u.platform, u.generation, u.fence
), armed AS (  -- an armed one becomes unknown: its lease ends now, and rescue finds it
    UPDATE deliveries u SET lease_until = now() FROM mine WHERE u.id = mine.id AND mine.armed_at IS NOT NULL
), move AS (
    INSERT INTO moves (delivery_id, mover, origin, target, generation, fence, why)
    SELECT id, 'publish', 'publishing', 'queued', generation, fence, 'held: shutdown' FROM d
)
SELECT id AS delivery, platform, generation, fence FROM d
"""


def requeue_claimed(c: Connection, some: Sequence[ClaimedDelivery], lease: timedelta) -> list[Message]:
    """Queue the un-armed deliveries of a worker that shuts down, under a new fence, and return their messages.

    No crash or attempt is counted. The messages are sent after the caller's commit. ``lease``: of a queued one.
    """
    return read_all(c, Message, _GIVE_BACK, lease=lease, **_to_values(some, "publishing"))


def requeue_looks(c: Connection, some: Sequence[ClaimedDelivery]) -> None:
    """End the leases of looks whose worker shuts down, so that the next sweep dispatches them."""
    sql = f"{_HELD} UPDATE deliveries u SET lease_until = NULL FROM mine WHERE u.id = mine.id"
    execute(c, sql, **_to_values(some, "preparing", "processing", "unknown"))


def _to_values(some: Sequence[ClaimedDelivery], *states: str) -> dict[str, list[object]]:
    return {
        "ids": [claimed.id for claimed in some],
        "generations": [claimed.generation for claimed in some],
        "fences": [claimed.fence for claimed in some],
        "states": list(states),
    }


_DISPATCH_LOOKS = f"""
WITH due AS (
    SELECT id FROM deliveries d
    WHERE state IN ('preparing', 'processing', 'unknown') AND greatest(next_at, lease_until) <= now()
      AND NOT {TOO_NEW}
    ORDER BY greatest(next_at, lease_until) LIMIT :n FOR UPDATE SKIP LOCKED)
UPDATE deliveries x SET fence = fence + 1, lease_until = now() + :lease, updated_at = now()
FROM due WHERE x.id = due.id RETURNING x.id AS delivery, x.platform, x.generation, x.fence
"""


def dispatch_looks(c: Connection, limit: int, lease: timedelta) -> list[Message]:
    """Dispatch due looks without a lease; raising their fence makes earlier messages for the same look no-ops."""
    return read_all(c, Message, _DISPATCH_LOOKS, n=limit, lease=lease)


def bring_look_forward(c: Connection, delivery: UUID, generation: int) -> bool:
    """Make the next look of a delivery due; False if it is due or in progress, or its wait counts.

    The wait for the look that proves absence counts, and one that a platform asked for.
    """
    return has_row(
        c,
        f"""UPDATE deliveries SET next_at = now(), updated_at = now()
            WHERE id = :id AND generation = :generation AND state IN ('preparing', 'processing', 'unknown')
              AND next_at > now() AND absent_at IS NULL
              AND coalesce(error -> '{LAST_LOOK}' ->> 'class', error ->> 'class', '') <> 'RateLimited' RETURNING id""",
        id=delivery,
        generation=generation,
    )


def redispatch_lost(
    c: Connection,
    limit: int,
    lease: timedelta,
    *,
    empty: Sequence[str] = (),
    quiet: timedelta = timedelta(seconds=10),
) -> list[Message]:
    """Dispatch queued deliveries again whose lease expired: their message was lost.

    ``empty``: platforms whose queue holds no message: of deliveries queued for ``quiet`` there, it was lost too.
    """
    return read_all(
        c,
        Message,
        f"""WITH lost AS (
               SELECT id FROM deliveries d WHERE state = 'queued' AND NOT {TOO_NEW} AND (lease_until < now() OR (
                   platform = ANY(CAST(:empty AS text[])) AND updated_at < now() - CAST(:quiet AS interval)))
               ORDER BY lease_until LIMIT :n FOR UPDATE SKIP LOCKED)
           UPDATE deliveries x SET lease_until = now() + :lease, updated_at = now()
           FROM lost WHERE x.id = lost.id RETURNING x.id AS delivery, x.platform, x.generation, x.fence""",
        n=limit,
        lease=lease,
        empty=list(empty),
        quiet=quiet,
    )


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
    return read_all(
        c,
        Message,
        f"""WITH lost AS (
               SELECT id FROM deliveries d
               WHERE state IN ('preparing', 'processing', 'unknown') AND next_at <= now() AND NOT {TOO_NEW}
                 AND lease_until > now() + CAST(:claim_lease AS interval)
                 AND updated_at < now() - CAST(:quiet AS interval)
               ORDER BY next_at LIMIT :n FOR UPDATE SKIP LOCKED)
           UPDATE deliveries x SET fence = fence + 1, lease_until = now() + :lease, updated_at = now()
           FROM lost WHERE x.id = lost.id RETURNING x.id AS delivery, x.platform, x.generation, x.fence""",
        n=limit,
        lease=lease,
        claim_lease=claim_lease,
        quiet=quiet,
    )


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
    return read_all(
        c,
        ExpiredLease,
        """SELECT id, post_id, platform, generation, fence, crashes, armed_at,
                  (SELECT request_id FROM posts p WHERE p.id = post_id) AS request_id
           FROM deliveries WHERE state = 'publishing' AND lease_until < now() ORDER BY lease_until LIMIT :n""",
        n=limit,
    )


def rescue(c: Connection, one: ExpiredLease, how: Rescue, lease: timedelta) -> int | None:
    """Move a delivery and raise its fence, so that its old worker stores nothing more. Return the fence, or None."""
    require_move(State.PUBLISHING, Mover.RESCUE, how.target)
    lock_post(c, one.post_id)
    fence = find_value(
        c,
        int,
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
    if fence is not None:
        recompute_post_status(c, one.post_id)
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

    ``at``: not before that time; None: now. A dead letter, which a restore leaves as it is, is recorded next to
    the epoch file before it is armed: a backup of now says that it was never sent.
    """
    now = at or database_now(c)
    sql = """INSERT INTO brought_forward (delivery_id) SELECT id FROM deliveries WHERE id = :id AND state = 'blocked'
             AND reason = 'person_needed' AND armed_at IS NULL ON CONFLICT DO NOTHING"""
    execute(c, sql, id=delivery)
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
