"""Pauses set by an operator. Release and arm respect them; an armed delivery continues."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection

from pipeline.store.database import row, rows

Scope = Literal["all", "platform", "workspace", "account"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Pause:
    """One pause. ``target``: platform, or id of workspace or account; empty for all. ``name``: the target's name."""

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


def lift(c: Connection, scope: Scope, target: str) -> bool:
    """Remove a pause; False when there was none. Other pauses of the same deliveries stay."""
    sql = "DELETE FROM pauses WHERE scope = :scope AND target = :target RETURNING scope"
    return row(c, sql, scope=scope, target=target) is not None


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
           ORDER BY p.since, p.scope, p.target""",
    )
    return [Pause(**r._asdict()) for r in found]
