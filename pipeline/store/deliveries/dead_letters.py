"""Dead letters: deliveries that failed, or that only a person can let go on, and that nobody has dealt with.

That is a fact about a delivery, not a place it is moved to: `failed` and not discarded, or `blocked` as
`person_needed`. Sent again it is one no more; should it die again, it is one again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.database import row, rows
from pipeline.store.deliveries.ownership import Accounts

Position = tuple[datetime, UUID]
"""Where a page of letters ended: when the last one died, and its id."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """Whose letters somebody may see and deal with; None everywhere is an operator's: all."""

    workspace: UUID | None = None
    accounts: Accounts = None
    """Only of posts that go to no other accounts than these."""


OPERATOR = Scope()


@dataclass(frozen=True, kw_only=True, slots=True)
class Which:
    """Which letters within a scope; None everywhere is all of them."""

    scope: Scope = OPERATOR
    platform: str | None = None
    account: UUID | None = None
    error_class: str | None = None
    code: str | None = None
    older: timedelta | None = None
    """Dead for at least this long."""
    younger: timedelta | None = None
    """Dead for at most this long."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Letter:
    """One dead letter and its cause. ``crashes``: workers it killed; ``spent``: attempts that cost one."""

    id: UUID
    post_id: UUID
    workspace_id: UUID
    workspace: str
    account_id: UUID
    platform: str
    username: str
    state: str
    reason: str | None
    generation: int
    armed: bool
    died_at: datetime
    due_at: datetime
    spent: int
    crashes: int
    error: Mapping[str, Any] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Cause:
    """How many letters died of the same."""

    platform: str
    error_class: str | None
    code: str | None
    letters: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Discard:
    """That a person gave one up."""

    generation: int
    why: str
    who: str
    at: datetime


_DEAD = """
FROM deliveries d JOIN posts p ON p.id = d.post_id
WHERE d.state IN ('failed', 'blocked') AND (d.state = 'failed' OR d.reason = 'person_needed')
  AND p.deleted_at IS NULL
  AND NOT EXISTS (SELECT FROM discards x WHERE x.delivery_id = d.id AND x.generation = d.generation)
  AND (CAST(:workspace AS uuid) IS NULL OR d.workspace_id = :workspace)
  AND (CAST(:accounts AS uuid[]) IS NULL OR NOT EXISTS (
      SELECT FROM deliveries o WHERE o.post_id = d.post_id AND o.account_id <> ALL (CAST(:accounts AS uuid[]))))
  AND (CAST(:platform AS text) IS NULL OR d.platform = :platform)
  AND (CAST(:account AS uuid) IS NULL OR d.account_id = :account)
  AND (CAST(:error_class AS text) IS NULL OR d.error ->> 'class' = :error_class)
  AND (CAST(:code AS text) IS NULL OR d.error ->> 'code' = :code)
  AND (CAST(:older AS interval) IS NULL OR d.updated_at <= now() - CAST(:older AS interval))
  AND (CAST(:younger AS interval) IS NULL OR d.updated_at >= now() - CAST(:younger AS interval))
"""
_LETTERS = f"""
SELECT d.id, d.post_id, d.workspace_id, w.name AS workspace, d.account_id, d.platform, a.username, d.state, d.reason,
       d.generation, d.armed_at IS NOT NULL AS armed, d.updated_at AS died_at, d.due_at, d.spent, d.crashes, d.error
FROM (SELECT d.* {_DEAD} AND (CAST(:id AS uuid) IS NULL OR d.id = :id)
      AND (CAST(:died AS timestamptz) IS NULL OR (d.updated_at, d.id) > (:died, CAST(:last AS uuid)))
      ORDER BY d.updated_at, d.id LIMIT :n) d
JOIN accounts a ON a.id = d.account_id JOIN workspaces w ON w.id = d.workspace_id
ORDER BY died_at, d.id
"""
_CAUSES = f"""
SELECT d.platform, d.error ->> 'class' AS error_class, d.error ->> 'code' AS code, count(*) AS letters
{_DEAD} GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3
"""


def list_letters(c: Connection, which: Which, *, limit: int, after: Position | None = None) -> list[Letter]:
    """Those that have been dead for longest first; ``after``: where the page before ended."""
    died, last = after or (None, None)
    found = rows(c, _LETTERS, **_values(which), id=None, died=died, last=last, n=limit)
    return [Letter(**r._mapping) for r in found]


def find_letter(c: Connection, delivery: UUID, scope: Scope) -> Letter | None:
    """One of them; None when it is out of scope, alive again, discarded, or not there."""
    found = row(c, _LETTERS, **_values(Which(scope=scope)), id=delivery, died=None, last=None, n=1)
    return None if found is None else Letter(**found._mapping)


def causes(c: Connection, which: Which) -> list[Cause]:
    """How many there are, by what they died of; the most first."""
    return [Cause(**r._mapping) for r in rows(c, _CAUSES, **_values(which))]


def set_aside(c: Connection, letter: Letter, *, why: str, who: str) -> None:
    """Notes that a person gave it up. A second time changes nothing."""
    row(
        c,
        """INSERT INTO discards (delivery_id, generation, why, who) VALUES (:id, :generation, :why, :who)
           ON CONFLICT DO NOTHING RETURNING at""",
        id=letter.id,
        generation=letter.generation,
        why=why,
        who=who,
    )


def discards_of(c: Connection, delivery: UUID) -> list[Discard]:
    """Every time a person gave it up, oldest first."""
    found = rows(
        c,
        "SELECT generation, why, who, at FROM discards WHERE delivery_id = :id ORDER BY generation",
        id=delivery,
    )
    return [Discard(**r._mapping) for r in found]


def crashes_of(c: Connection, delivery: UUID) -> int:
    """Workers that died with it, over all of its lives: a replay sets the delivery's own count back."""
    found = row(
        c, "SELECT count(*) AS n FROM moves WHERE delivery_id = :id AND mover = 'rescue'", id=delivery
    )
    return int(found.n) if found else 0


def _values(which: Which) -> dict[str, Any]:
    scope = which.scope
    return {
        "workspace": scope.workspace,
        "accounts": None if scope.accounts is None else list(scope.accounts),
        "platform": which.platform,
        "account": which.account,
        "code": which.code,
        "error_class": which.error_class,
        "older": which.older,
        "younger": which.younger,
    }
