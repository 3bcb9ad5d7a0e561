"""Pauses, set by an operator or for a platform that refuses our app: release and arm respect them.

An armed delivery continues.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection

from adapters.contract import Platform
from pipeline.domain.hold import Hold, Scope
from pipeline.store.counters.counters import count_alarm
from pipeline.store.database import execute, find_value, has_row, read_all, row
from pipeline.store.deliveries.holds import HELD_FOR

SOON = timedelta(minutes=10)
"""How far ahead ``next_at`` is of deliveries that an outage holds: more than their longest pause."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pause:
    """One pause. ``target``: platform, or id of workspace, account or steering job; empty for all. ``name``: its."""

    scope: str
    target: str
    name: str
    workspace_id: UUID | None
    """None: it concerns all workspaces."""
    why: str
    who: str | None
    """Who paused it, or gave it its present reason; None: not known."""
    since: datetime
    holds: int
    """Deliveries that it holds, due or not."""
    is_lock: bool = False


def pause(
    c: Connection, scope: Scope, target: str, why: str, who: str | None = None, *, only_new: bool = False
) -> bool:
    """Pause a target; pausing it again changes only the reason and who gave it, or with *only_new* nothing: False.

    A lock stays as it is.
    """
    return has_row(
        c,
        """INSERT INTO pauses (scope, target, why, who) VALUES (:scope, :target, :why, :who)
           ON CONFLICT (scope, target) DO UPDATE SET why = excluded.why, who = excluded.who
           WHERE NOT :only_new AND NOT pauses.is_lock
           RETURNING scope""",
        scope=scope,
        target=target,
        why=why,
        who=who,
        only_new=only_new,
    )


def find_reason(c: Connection, scope: Scope, target: str, *, lock: bool = False) -> str | None:
    """Return why a target is paused; None: it is not, but for a lock. *lock*: it stays so in the transaction."""
    of = "scope = :scope AND target = :target AND NOT is_lock"
    sql = f"SELECT why FROM pauses WHERE {of} {'FOR UPDATE' if lock else ''}"
    return find_value(c, str, sql, scope=scope, target=target)


def pause_platform(c: Connection, platform: Platform, why: str) -> bool:
    """Pause a platform that refuses our app, an alarm; return False if it is paused already, for whatever reason."""
    is_new = pause(c, "platform", platform, why, "system", only_new=True)
    if is_new:
        count_alarm(c, "app_refused")
    return is_new


def lift(c: Connection, scope: Scope, target: str, only: str | None = None) -> bool:
    """Remove a pause; False when there was none, or it has another reason than *only*. Other pauses stay.

    A lock stays, and that of a workspace that is being deleted until the workspace is gone: nothing may go out for it.

    The streaks of unavailability of what it held start from zero. The caller holds a transaction.
    """
    sql = """DELETE FROM pauses WHERE scope = :scope AND target = :target
             AND (CAST(:only AS text) IS NULL OR why = :only) AND NOT is_lock
             AND NOT (scope = 'workspace' AND EXISTS (
                 SELECT FROM workspaces w WHERE w.id::text = :target AND w.closed_at IS NOT NULL)) RETURNING scope"""
    if row(c, sql, scope=scope, target=target, only=only) is None:
        return False
    restart_streaks(c, scope, target)
    return True


def lock_workspace(c: Connection, workspace: UUID, why: str, who: str) -> bool:
    """Pause a workspace until it is unlocked; False if it is locked already. A pause that was there comes back then."""
    return has_row(
        c,
        """INSERT INTO pauses (scope, target, why, who, is_lock) VALUES ('workspace', :w, :why, :who, true)
           ON CONFLICT (scope, target) DO UPDATE SET why = excluded.why, who = excluded.who, since = now(),
               is_lock = true, earlier = jsonb_build_object('why', pauses.why, 'who', pauses.who, 'since', pauses.since)
           WHERE NOT pauses.is_lock RETURNING scope""",
        w=str(workspace),
        why=why,
        who=who,
    )


def is_locked(c: Connection, workspace: UUID) -> bool:
    """Return True if a workspace is locked."""
    return has_row(c, "SELECT 1 AS one FROM pauses WHERE is_lock AND target = :w", w=str(workspace))


def unlock_workspace(c: Connection, workspace: UUID) -> bool:
    """End the lock of a workspace; False when there is none. The caller holds a transaction."""
    earlier = "why = earlier ->> 'why', who = earlier ->> 'who', since = (earlier ->> 'since')::timestamptz"
    back = f"UPDATE pauses SET is_lock = false, {earlier}, earlier = NULL WHERE target = :w AND earlier IS NOT NULL"
    if has_row(c, f"{back} RETURNING scope", w=str(workspace)):
        return True
    if not has_row(c, "DELETE FROM pauses WHERE target = :w AND is_lock RETURNING scope", w=str(workspace)):
        return False
    restart_streaks(c, "workspace", str(workspace))
    return True


def restart_streaks(c: Connection, scope: Scope, target: str) -> None:
    """End the streaks of unavailability of waiting deliveries; claimed ones keep theirs."""
    execute(
        c,
        """WITH mine AS (
               SELECT id FROM deliveries d
               WHERE platform = ANY(CAST(:platforms AS text[])) AND state IN ('scheduled', 'retrying')
                 AND next_at <= now() + CAST(:soon AS interval) AND unavailable_since IS NOT NULL
                 AND CASE :scope WHEN 'all' THEN true WHEN 'platform' THEN platform = :target
                          WHEN 'workspace' THEN workspace_id::text = :target
                          ELSE account_id::text = :target END
               ORDER BY id FOR UPDATE SKIP LOCKED)
           UPDATE deliveries u SET unavailable_since = NULL FROM mine WHERE u.id = mine.id""",
        platforms=list(Platform),
        soon=SOON,
        scope=scope,
        target=target,
    )


_PAUSES = f"""
WITH RECURSIVE jobs AS (
    (SELECT job_id AS id FROM paused_deliveries ORDER BY job_id LIMIT 1)
    UNION ALL
    SELECT (SELECT p.job_id FROM paused_deliveries p WHERE p.job_id > j.id ORDER BY p.job_id LIMIT 1)
    FROM jobs j WHERE j.id IS NOT NULL
), shown AS (
    SELECT p.scope, p.target, p.why, p.who, p.since, p.is_lock, coalesce(w.id, a.workspace_id) AS workspace_id,
           coalesce(w.name, a.platform || ' ' || a.username, p.target) AS name
    FROM pauses p
    LEFT JOIN workspaces w ON w.id = CAST(CASE p.scope WHEN 'workspace' THEN p.target END AS uuid)
    LEFT JOIN accounts a ON a.id = CAST(CASE p.scope WHEN 'account' THEN p.target END AS uuid)
    WHERE CAST(:mine AS uuid[]) IS NULL OR p.scope IN ('all', 'platform')
       OR coalesce(w.id, a.workspace_id) = ANY(CAST(:mine AS uuid[]))
)
SELECT s.scope, s.target, s.name, s.workspace_id, s.why, s.who, s.since, held.n AS holds, s.is_lock
FROM shown s, LATERAL (SELECT count(*) AS n FROM (SELECT d.id FROM (
    SELECT w.* FROM unnest(CAST(:platforms AS text[])) AS k (platform), LATERAL (
        SELECT * FROM post_deliveries
        WHERE platform = CASE WHEN CAST(:mine AS uuid[]) IS NULL AND (s.scope, s.target) IN
                  (('all', ''), ('platform', k.platform)) THEN k.platform END
          AND state IN ('scheduled', 'retrying')) w
    UNION ALL
    SELECT w.* FROM unnest(CAST(:platforms AS text[])) AS k (platform), LATERAL (
        SELECT * FROM post_deliveries
        WHERE platform = CASE WHEN s.scope IN ('all', 'workspace') OR s.target = k.platform THEN k.platform END
          AND workspace_id = ANY(CASE s.scope WHEN 'workspace' THEN ARRAY[s.workspace_id]
                                 ELSE CAST(:mine AS uuid[]) END)
          AND state IN ('scheduled', 'retrying')) w
    UNION ALL
    SELECT * FROM post_deliveries
    WHERE account_id = CAST(CASE s.scope WHEN 'account' THEN s.target END AS uuid)
      AND state IN ('scheduled', 'retrying')
    UNION ALL
    SELECT * FROM post_deliveries q WHERE state = 'queued' AND (s.scope, s.target) IN (('all', ''),
        ('platform', q.platform), ('workspace', q.workspace_id::text), ('account', q.account_id::text))
) d WHERE (CAST(:mine AS uuid[]) IS NULL OR d.workspace_id = ANY(CAST(:mine AS uuid[])))
      AND {HELD_FOR} IN ('{Hold.LOCKED}', '{Hold.PAUSED}') LIMIT :cap) x) held
UNION ALL
SELECT 'delivery', j.id::text, count(*) || ' deliveries', h.workspace_id, h.why,
       (SELECT a.actor_kind || ' ' || a.actor_name FROM audit a
        WHERE a.subject = j.id::text AND a.kind = 'steering job' ORDER BY a.at, a.id LIMIT 1), min(h.since),
       count(*) FILTER (WHERE h.held_for IN ('{Hold.LOCKED}', '{Hold.PAUSED}')), false
FROM jobs j
CROSS JOIN LATERAL (
    SELECT p.why, p.since, d.workspace_id, {HELD_FOR} AS held_for
    FROM paused_deliveries p CROSS JOIN LATERAL (SELECT * FROM post_deliveries WHERE id = p.delivery_id LIMIT 1) d
    WHERE p.job_id = j.id AND d.state NOT IN ('published', 'failed', 'cancelled')
      AND (CAST(:mine AS uuid[]) IS NULL OR d.workspace_id = ANY(CAST(:mine AS uuid[])))
    LIMIT :cap) h
GROUP BY j.id, h.workspace_id, h.why
ORDER BY since, scope, target LIMIT :most
"""
"""Where a part does not concern a pause's scope, CASE compares the index with NULL: a condition on the scope alone is
checked row by row."""


def list_pauses(
    c: Connection,
    workspaces: Collection[UUID] | None = None,
    cap: int | None = None,
    most: int | None = None,
) -> list[Pause]:
    """Return all pauses, or the pauses of these workspaces and the deliveries of theirs that they hold, oldest first.

    *cap*: count no further. *most*: list no more.
    """
    mine = None if workspaces is None else list(workspaces)
    return read_all(c, Pause, _PAUSES, platforms=list(Platform), mine=mine, cap=cap, most=most)
