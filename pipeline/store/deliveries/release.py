"""What is due: releasing waiting deliveries, ringing looks, and finding what somebody dropped.

All by the database's clock, in batches, with SKIP LOCKED, interleaved between workspaces so that one that imported a
hundred thousand posts does not stand in front of everybody else's one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection

from adapters.contract import Platform
from pipeline.store.database import row, rows
from pipeline.store.deliveries.claimed import ClaimedDelivery
from pipeline.store.deliveries.moves import recompute
from pipeline.store.recovery.epoch import OPEN

NOW, EVER = timedelta(0), timedelta(days=36_500)


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """One message to send after commit: ids and generation, never content."""

    delivery: UUID
    platform: str
    generation: int
    fence: int

    @classmethod
    def of(cls, held: ClaimedDelivery) -> Message:
        """The message that goes on with a delivery at the end of a slice."""
        return cls(
            delivery=held.id, platform=held.account.platform, generation=held.generation, fence=held.fence
        )


_CANDIDATES = """
WITH RECURSIVE w AS (
    (SELECT workspace_id FROM deliveries
     WHERE platform = :platform AND state IN ('scheduled', 'retrying') ORDER BY workspace_id LIMIT 1)
    UNION ALL
    SELECT (SELECT workspace_id FROM deliveries d
            WHERE platform = :platform AND state IN ('scheduled', 'retrying') AND d.workspace_id > w.workspace_id
            ORDER BY workspace_id LIMIT 1)
    FROM w WHERE w.workspace_id IS NOT NULL
)
SELECT x.id FROM w CROSS JOIN LATERAL (
    SELECT id, next_at, row_number() OVER (ORDER BY next_at) AS turn FROM (
        SELECT id, next_at FROM deliveries d
        WHERE platform = :platform AND workspace_id = w.workspace_id AND state IN ('scheduled', 'retrying')
          AND next_at <= now() - CAST(:older AS interval) AND next_at > now() - CAST(:younger AS interval)
          AND NOT EXISTS (
              SELECT FROM pauses WHERE scope = 'account' AND target = d.account_id::text)
        ORDER BY next_at LIMIT :n
    ) due
) x
WHERE w.workspace_id IS NOT NULL
  AND NOT EXISTS (SELECT FROM pauses WHERE (scope, target) IN
      (('all', ''), ('platform', :platform), ('workspace', w.workspace_id::text)))
ORDER BY x.turn, x.next_at LIMIT :n
"""

_RETRIED_POSTS = """
SELECT id FROM posts WHERE id IN (
    SELECT post_id FROM deliveries WHERE id = ANY(CAST(:ids AS uuid[])) AND state = 'retrying')
ORDER BY id FOR UPDATE SKIP LOCKED
"""

_RELEASE = f"""
WITH due AS (
    SELECT id, state FROM deliveries
    WHERE id = ANY(CAST(:ids AS uuid[])) AND state IN ('scheduled', 'retrying') AND next_at <= now()
      AND (state = 'scheduled' OR post_id = ANY(CAST(:posts AS uuid[]))) AND {OPEN}
    ORDER BY id FOR UPDATE SKIP LOCKED
), d AS (
    UPDATE deliveries x SET state = 'queued', lease_until = now() + :lease, updated_at = now()
    FROM due WHERE x.id = due.id
    RETURNING x.id, x.platform, x.generation, x.fence, due.state AS origin, x.post_id
), move AS (
    INSERT INTO moves (delivery_id, mover, origin, target, generation, fence)
    SELECT id, 'delay', origin, 'queued', generation, fence FROM d
)
SELECT * FROM d
"""


def waiting_platforms(c: Connection) -> list[str]:
    """Platforms that have something due now; one look into the index for each, however much is due of the others."""
    found = rows(
        c,
        """SELECT p AS platform FROM unnest(CAST(:platforms AS text[])) AS p WHERE EXISTS (
               SELECT FROM deliveries
               WHERE platform = p AND state IN ('scheduled', 'retrying') AND next_at <= now())""",
        platforms=list(Platform),
    )
    return [r.platform for r in found]


def has_backlog(c: Connection, platform: str, older: timedelta) -> bool:
    """Whether something of a platform should have gone out this long ago; one look into the index."""
    found = row(
        c,
        """SELECT 1 AS one FROM deliveries WHERE platform = :p AND state IN ('scheduled', 'retrying')
             AND next_at <= now() - CAST(:older AS interval) LIMIT 1""",
        p=platform,
        older=older,
    )
    return found is not None


def queued_count(c: Connection, platform: str) -> int:
    """How many already stand in a platform's queue; the index holds only queued rows, and ``ahead`` bounds them."""
    found = row(
        c, "SELECT count(*) AS n FROM deliveries WHERE platform = :p AND state = 'queued'", p=platform
    )
    return int(found.n) if found else 0


def release(
    c: Connection,
    platform: str,
    limit: int,
    lease: timedelta,
    *,
    older: timedelta = NOW,
    younger: timedelta = EVER,
) -> list[Message]:
    """Queues up to ``limit`` due deliveries of a platform; the messages go out after the caller's commit.

    ``older``, ``younger``: only those whose time came at least, and less than, this long ago.
    """
    ids = [r.id for r in rows(c, _CANDIDATES, platform=platform, n=limit, older=older, younger=younger)]
    if not ids:
        return []
    order = {identity: n for n, identity in enumerate(ids)}
    # a retried delivery's public word changes, so its post is locked first (the one lock order) and recomputed
    posts = [r.id for r in rows(c, _RETRIED_POSTS, ids=ids)]
    found = rows(c, _RELEASE, ids=ids, posts=posts, lease=lease)
    for post in posts:
        recompute(c, post)
    return [_ring(r) for r in sorted(found, key=lambda r: order[r.id])]


_LATE = """
(SELECT d.id, d.post_id, d.state, d.generation, p.on_late
 FROM posts p, LATERAL (
     SELECT * FROM deliveries WHERE post_id = p.id AND state IN ('scheduled', 'retrying') AND next_at <= now()
       AND error ->> 'code' IS DISTINCT FROM 'expired' OFFSET 0) d
 WHERE p.on_late <> 'publish' AND p.expires_at < now() AND p.status IN ('scheduled', 'pending', 'retry')
 LIMIT :n)
UNION ALL  -- what the workspace says of a post that says nothing itself
(SELECT d.id, d.post_id, d.state, d.generation, w.on_late
 FROM workspaces w, unnest(CAST(:platforms AS text[])) AS one (platform), LATERAL (
     SELECT * FROM deliveries x
     WHERE x.platform = one.platform AND x.workspace_id = w.id AND x.state IN ('scheduled', 'retrying')
       AND x.next_at <= now() AND x.due_at < now() - w.late_after AND x.error ->> 'code' IS DISTINCT FROM 'expired'
       AND EXISTS (SELECT FROM posts WHERE id = x.post_id AND expires_at IS NULL)
     ORDER BY x.next_at LIMIT :n) d
 WHERE w.late_after IS NOT NULL)
LIMIT :n
"""
"""Asked at every doorbell, so only what could be late is looked at, of few posts and few workspaces: left to itself the
planner reads all that is due, once there is much, to find the first of them in the order of an id."""


def late_ones(c: Connection, limit: int) -> list[tuple[UUID, UUID, str, int, str]]:
    """Due deliveries that are too late by their post's or workspace's word: (delivery, post, state, generation, word).

    Not those that were held for it before and that a person then let go on.
    """
    found = rows(c, _LATE, n=limit, platforms=list(Platform))
    return [(r.id, r.post_id, r.state, r.generation, r.on_late) for r in found]


def due_slots(
    c: Connection, horizon: timedelta, slot: timedelta, after: timedelta | None = None
) -> list[datetime]:
    """The ends of the slots of time within the horizon in which something becomes due.

    ``after``: the width of the slots for looks after the visible call (default: as the others').
    """
    seconds = slot.total_seconds()
    found = rows(
        c,
        """SELECT DISTINCT to_timestamp(ceil(extract(epoch FROM next_at) / :s) * :s) AS at FROM deliveries
           WHERE platform = ANY(CAST(:platforms AS text[])) AND state IN ('scheduled', 'retrying')
             AND next_at > now() AND next_at <= now() + :horizon
           UNION
           SELECT DISTINCT to_timestamp(ceil(extract(epoch FROM next_at) / w.s) * w.s) AS at
           FROM deliveries, LATERAL (SELECT CASE WHEN state = 'preparing' THEN :s ELSE :after END AS s) w
           WHERE state IN ('preparing', 'processing', 'unknown') AND next_at > now() AND next_at <= now() + :horizon
           ORDER BY at LIMIT 1000""",
        s=seconds,
        after=(after or slot).total_seconds(),
        horizon=horizon,
        platforms=list(Platform),
    )
    return [r.at for r in found]


_RING_LOOKS = """
WITH due AS (
    SELECT id FROM deliveries
    WHERE state IN ('preparing', 'processing', 'unknown') AND greatest(next_at, lease_until) <= now()
    ORDER BY greatest(next_at, lease_until) LIMIT :n FOR UPDATE SKIP LOCKED)
UPDATE deliveries x SET fence = fence + 1, lease_until = now() + :lease, updated_at = now()
FROM due WHERE x.id = due.id RETURNING x.id, x.platform, x.generation, x.fence
"""


def ring_looks(c: Connection, limit: int, lease: timedelta) -> list[Message]:
    """Due looks that nobody holds; raising the fence here makes an earlier message for the same look a no-op."""
    return [_ring(r) for r in rows(c, _RING_LOOKS, n=limit, lease=lease)]


def ring_lost(
    c: Connection,
    limit: int,
    lease: timedelta,
    *,
    empty: Sequence[str] = (),
    quiet: timedelta = timedelta(seconds=10),
) -> list[Message]:
    """Queued deliveries whose message was lost: rung again.

    ``empty``: platforms in whose queue no message waits: what has stood in one of them for ``quiet`` was lost.
    """
    found = rows(
        c,
        """WITH lost AS (
               SELECT id FROM deliveries WHERE state = 'queued' AND (lease_until < now() OR (
                   platform = ANY(CAST(:empty AS text[])) AND updated_at < now() - CAST(:quiet AS interval)))
               ORDER BY lease_until LIMIT :n FOR UPDATE SKIP LOCKED)
           UPDATE deliveries x SET lease_until = now() + :lease, updated_at = now()
           FROM lost WHERE x.id = lost.id RETURNING x.id, x.platform, x.generation, x.fence""",
        n=limit,
        lease=lease,
        empty=list(empty),
        quiet=quiet,
    )
    return [_ring(r) for r in found]


def ring_lost_looks(
    c: Connection, limit: int, lease: timedelta, *, held: timedelta, quiet: timedelta = timedelta(seconds=10)
) -> list[Message]:
    """Looks that were rung ``quiet`` ago and more and that nobody took: for when no message waits in their queue.

    ``held``: the lease of a look that somebody took. A longer one is that of a ring.
    """
    found = rows(
        c,
        """WITH lost AS (
               SELECT id FROM deliveries
               WHERE state IN ('preparing', 'processing', 'unknown') AND next_at <= now()
                 AND lease_until > now() + CAST(:held AS interval) AND updated_at < now() - CAST(:quiet AS interval)
               ORDER BY next_at LIMIT :n FOR UPDATE SKIP LOCKED)
           UPDATE deliveries x SET fence = fence + 1, lease_until = now() + :lease, updated_at = now()
           FROM lost WHERE x.id = lost.id RETURNING x.id, x.platform, x.generation, x.fence""",
        n=limit,
        lease=lease,
        held=held,
        quiet=quiet,
    )
    return [_ring(r) for r in found]


def _ring(r: object) -> Message:
    m = r._mapping  # type: ignore[attr-defined]
    return Message(delivery=m["id"], platform=m["platform"], generation=m["generation"], fence=m["fence"])
