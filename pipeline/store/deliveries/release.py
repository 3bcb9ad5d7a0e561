"""Release: queue waiting deliveries that are due by the database's clock, in batches with SKIP LOCKED.

Batches interleave workspaces, so that one that imported a hundred thousand posts does not delay another one's single
post.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection

from adapters.contract import Platform
from pipeline.domain.level import LEVEL
from pipeline.store.canaries import TOO_NEW
from pipeline.store.database import has_row, read_all, read_column, read_number, rows
from pipeline.store.deliveries.claim import Message
from pipeline.store.deliveries.holds import IS_UNAPPROVED
from pipeline.store.deliveries.move import recompute_post_status
from pipeline.store.recovery.epoch import EPOCH_IS_OPEN
from pipeline.store.selection import walk_workspaces

NOW, EVER = timedelta(0), timedelta(days=36_500)


_CANDIDATES = f"""
WITH RECURSIVE {walk_workspaces("deliveries", "platform = :platform AND state IN ('scheduled', 'retrying')")}
SELECT x.id FROM w CROSS JOIN LATERAL (
    SELECT id, next_at, row_number() OVER (ORDER BY next_at) AS turn FROM (
        SELECT id, next_at FROM deliveries d
        WHERE platform = :platform AND workspace_id = w.workspace_id AND state IN ('scheduled', 'retrying')
          AND next_at <= now() - CAST(:older AS interval) AND next_at > now() - CAST(:younger AS interval)
          AND NOT EXISTS (
              SELECT FROM pauses WHERE scope = 'account' AND target = d.account_id::text)
          AND NOT EXISTS (SELECT FROM paused_deliveries h WHERE h.delivery_id = d.id) AND NOT {IS_UNAPPROVED}
          AND level <= :level AND NOT {TOO_NEW}
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
      AND level <= :level AND (state = 'scheduled' OR post_id = ANY(CAST(:posts AS uuid[]))) AND {EPOCH_IS_OPEN}
    ORDER BY id FOR UPDATE SKIP LOCKED
), d AS (
    UPDATE deliveries x SET state = 'queued', held_for = NULL, lease_until = now() + :lease, updated_at = now()
    FROM due WHERE x.id = due.id
    RETURNING x.id, x.platform, x.generation, x.fence, due.state AS origin, x.post_id
), move AS (
    INSERT INTO moves (delivery_id, mover, origin, target, generation, fence)
    SELECT id, 'delay', origin, 'queued', generation, fence FROM d
)
SELECT id AS delivery, platform, generation, fence FROM d
"""


def list_due_platforms(c: Connection) -> list[str]:
    """Return the platforms that have a due delivery; one index lookup for each, however much the others have."""
    return read_column(
        c,
        """SELECT p AS platform FROM unnest(CAST(:platforms AS text[])) AS p WHERE EXISTS (
               SELECT FROM deliveries
               WHERE platform = p AND state IN ('scheduled', 'retrying') AND next_at <= now())""",
        platforms=list(Platform),
    )


def has_backlog(c: Connection, platform: str, older: timedelta) -> bool:
    """Return whether a delivery of a platform has been due for this long; one index lookup."""
    return has_row(
        c,
        """SELECT 1 AS one FROM deliveries WHERE platform = :p AND state IN ('scheduled', 'retrying')
             AND next_at <= now() - CAST(:older AS interval) LIMIT 1""",
        p=platform,
        older=older,
    )


def count_queued(c: Connection, platform: str) -> int:
    """Count the queued deliveries of a platform that its workers can take.

    The index holds no others, and the setting ``ahead`` bounds them.
    """
    return read_number(
        c,
        f"SELECT count(*) AS n FROM deliveries d WHERE platform = :p AND state = 'queued' AND NOT {TOO_NEW}",
        p=platform,
    )


def release(
    c: Connection,
    platform: str,
    limit: int,
    lease: timedelta,
    *,
    level: int = LEVEL,
    older: timedelta = NOW,
    younger: timedelta = EVER,
) -> list[Message]:
    """Queue up to ``limit`` due deliveries of a platform; return their messages, to be sent after the commit.

    ``level``: of this process. A delivery above it, or above that of the platform's workers, stays where it is.
    ``older``, ``younger``: only deliveries that became due at least, and less than, this long ago.
    """
    found = rows(c, _CANDIDATES, platform=platform, n=limit, older=older, younger=younger, level=level)
    ids = [r.id for r in found]
    if not ids:
        return []
    order = {identity: n for n, identity in enumerate(ids)}
    # a retried delivery's public status changes, so its post is locked first (the lock order) and recomputed
    posts = read_column(c, _RETRIED_POSTS, ids=ids)
    released = read_all(c, Message, _RELEASE, ids=ids, posts=posts, lease=lease, level=level)
    for post in posts:
        recompute_post_status(c, post)
    return sorted(released, key=lambda message: order[message.delivery])


_LATE = """
(SELECT d.id, d.post_id, d.state, d.generation, p.on_late
 FROM posts p, LATERAL (
     SELECT * FROM post_deliveries WHERE post_id = p.id AND state IN ('scheduled', 'retrying') AND next_at <= now()
       AND error ->> 'code' IS DISTINCT FROM 'expired' OFFSET 0) d
 WHERE p.on_late <> 'publish' AND p.expires_at < now() AND p.status IN ('scheduled', 'pending', 'retry')
 LIMIT :n)
UNION ALL  -- the policy of the workspace, for posts without their own
(SELECT d.id, d.post_id, d.state, d.generation, w.on_late
 FROM workspaces w, unnest(CAST(:platforms AS text[])) AS one (platform), LATERAL (
     SELECT * FROM post_deliveries x
     WHERE x.platform = one.platform AND x.workspace_id = w.id AND x.state IN ('scheduled', 'retrying')
       AND x.next_at <= now() AND x.due_at < now() - w.late_after AND x.error ->> 'code' IS DISTINCT FROM 'expired'
       AND EXISTS (SELECT FROM posts WHERE id = x.post_id AND expires_at IS NULL)
     ORDER BY x.next_at LIMIT :n) d
 WHERE w.late_after IS NOT NULL)
LIMIT :n
"""
"""Executed at every slot, so it reads only what may be late, of few posts and few workspaces.

A plain join makes the planner read everything that is due, once that is much, to return rows in the order of an id.
"""


def list_late(c: Connection, limit: int) -> list[tuple[UUID, UUID, str, int, str]]:
    """Return due deliveries that are too late by their post's or workspace's policy.

    Each is (delivery, post, state, generation, ``on_late``). Deliveries that were blocked as expired before, and
    that an operator resumed, are left out.
    """
    found = rows(c, _LATE, n=limit, platforms=list(Platform))
    return [(r.id, r.post_id, r.state, r.generation, r.on_late) for r in found]


def list_due_slots(
    c: Connection, horizon: timedelta, slot: timedelta, after: timedelta | None = None
) -> list[datetime]:
    """Return the ends of the time slots within the horizon in which a delivery or a look becomes due.

    ``after``: the width of the slots of looks after the visible call (default: ``slot``).
    """
    seconds = slot.total_seconds()
    return read_column(
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
