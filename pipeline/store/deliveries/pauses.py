"""Pauses, set by an operator or for a platform that refuses our app: release and arm respect them.

An armed delivery continues.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import Connection

from adapters.contract import Platform
from pipeline.store.counters.counters import count_alarm
from pipeline.store.database import row, rows

SOON = timedelta(minutes=10)
"""How far ahead ``next_at`` is of deliveries that an outage holds: more than their longest pause."""
Scope = Literal["all", "platform", "workspace", "account"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Pause:
    """One pause. ``target``: platform, or id of workspace, account or steering job; empty for all. ``name``: its."""

    scope: str
    target: str
    name: str
    why: str
    since: datetime
    holds: int
    """Due deliveries that wait for it."""


def pause(c: Connection, scope: Scope, target: str, why: str) -> None:
    """Pause a target; pausing it again changes only the reason."""
    row(
        c,
        """INSERT INTO pauses (scope, target, why) VALUES (:scope, :target, :why)
           ON CONFLICT (scope, target) DO UPDATE SET why = excluded.why RETURNING scope""",
        scope=scope,
        target=target,
        why=why,
    )


def find_reason(c: Connection, scope: Scope, target: str) -> str | None:
    """Return why a target is paused; None: it is not."""
    found = row(
        c, "SELECT why FROM pauses WHERE scope = :scope AND target = :target", scope=scope, target=target
    )
    return None if found is None else str(found.why)


def pause_platform(c: Connection, platform: Platform, why: str) -> bool:
    """Pause a platform that refuses our app, an alarm; return False if it is paused already, whoever did it."""
    found = row(
        c,
        """INSERT INTO pauses (scope, target, why) VALUES ('platform', :target, :why)
           ON CONFLICT (scope, target) DO NOTHING RETURNING scope""",
        target=platform,
        why=why,
    )
    if found is not None:
        count_alarm(c, "app_refused")
    return found is not None


def lift(c: Connection, scope: Scope, target: str) -> bool:
    """Remove a pause; False when there was none. Other pauses of the same deliveries stay.

    The streaks of unavailability of what it held start from zero. The caller holds a transaction.
    """
    sql = "DELETE FROM pauses WHERE scope = :scope AND target = :target RETURNING scope"
    if row(c, sql, scope=scope, target=target) is None:
        return False
    restart_streaks(c, scope, target)
    return True


def restart_streaks(c: Connection, scope: Scope, target: str) -> None:
    """End the streaks of unavailability of waiting deliveries; claimed ones keep theirs."""
    rows(
        c,
        """WITH mine AS (
               SELECT id FROM deliveries d
               WHERE platform = ANY(CAST(:platforms AS text[])) AND state IN ('scheduled', 'retrying')
                 AND next_at <= now() + CAST(:soon AS interval) AND unavailable_since IS NOT NULL
                 AND CASE :scope WHEN 'all' THEN true WHEN 'platform' THEN platform = :target
                          WHEN 'workspace' THEN workspace_id::text = :target
                          ELSE account_id::text = :target END
               ORDER BY id FOR UPDATE SKIP LOCKED)
           UPDATE deliveries u SET unavailable_since = NULL FROM mine WHERE u.id = mine.id RETURNING u.id""",
        platforms=list(Platform),
        soon=SOON,
        scope=scope,
        target=target,
    )


def list_pauses(c: Connection) -> list[Pause]:
    """Return all pauses, oldest first."""
    found = rows(
        c,
        # The bound on next_at makes the index usable: a delivery that only waits for a pause is retried soon.
        """SELECT p.scope, p.target, p.why, p.since,
                  coalesce(w.name, a.platform || ' ' || a.username, p.target) AS name,
                  (SELECT count(*) FROM deliveries d
                   WHERE d.state IN ('scheduled', 'retrying') AND d.next_at <= now() + interval '1 minute'
                     AND d.due_at <= now()
                     AND CASE p.scope WHEN 'all' THEN true WHEN 'platform' THEN d.platform = p.target
                              WHEN 'workspace' THEN d.workspace_id::text = p.target
                              ELSE d.account_id::text = p.target END) AS holds
           FROM pauses p
           LEFT JOIN workspaces w ON p.scope = 'workspace' AND w.id::text = p.target
           LEFT JOIN accounts a ON p.scope = 'account' AND a.id::text = p.target
           UNION ALL
           SELECT 'delivery', h.job_id::text, h.why, min(h.since), count(*) || ' deliveries',
                  count(*) FILTER (WHERE d.due_at <= now())
           FROM paused_deliveries h JOIN deliveries d ON d.id = h.delivery_id
           WHERE d.state NOT IN ('published', 'failed', 'cancelled') GROUP BY h.job_id, h.why
           ORDER BY since, scope, target""",
    )
    return [Pause(**r._asdict()) for r in found]
