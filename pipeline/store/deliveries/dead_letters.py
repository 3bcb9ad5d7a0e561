"""Dead letters: deliveries that failed, or are blocked until an operator acts, and are not discarded.

A dead letter is not moved to another table: it is a delivery that is `failed`, or `blocked` as `person_needed`, without
a discard of its generation. A replayed delivery is no dead letter until it fails again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.database import row, rows
from pipeline.store.deliveries.ownership import Accounts

Obstacle = Literal["armed", "live"]
"""Armed: it may be live. Live: late proof shows that it is."""
Position = tuple[datetime, UUID]
"""The keyset of a page: when its last dead letter failed, and its id."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """The dead letters a caller may see and act on; the defaults are an operator's: all."""

    workspace: UUID | None = None
    within: Collection[UUID] | None = None
    """Only dead letters of these workspaces."""
    accounts: Accounts = None
    """Only dead letters of posts that go to no other accounts than these."""
    generation: int | None = None
    """Only one of this generation."""


OPERATOR = Scope()


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadLetterFilter:
    """A selection of dead letters within a scope; the defaults select all. Class and code ``none``: without one."""

    scope: Scope = OPERATOR
    state: str | None = None
    platform: str | None = None
    account: UUID | None = None
    error_class: str | None = None
    code: str | None = None
    older: timedelta | None = None
    """Failed at least this long ago."""
    younger: timedelta | None = None
    """Failed at most this long ago."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadLetter:
    """A dead letter and its error. ``crashes``: workers that died with it; ``spent``: attempts used up."""

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
    """How many dead letters have the same error."""

    platform: str
    error_class: str | None
    code: str | None
    letters: int
    obstacle: Obstacle | None = None
    """The reason why they are not sent again, which ``count_by_obstacle`` tells apart."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Discard:
    """The record of an operator who gave a delivery up."""

    generation: int
    why: str
    who: str
    at: datetime


IS_DEAD = """d.state IN ('failed', 'blocked') AND (d.state = 'failed' OR d.reason = 'person_needed')
  AND NOT EXISTS (SELECT FROM discards x WHERE x.delivery_id = d.id AND x.generation = d.generation)"""
"""Condition on a delivery ``d``."""
_DEAD = f"""
FROM deliveries d JOIN posts p ON p.id = d.post_id
WHERE {IS_DEAD} AND p.deleted_at IS NULL
  AND (CAST(:generation AS integer) IS NULL OR d.generation = :generation)
  AND (CAST(:workspace AS uuid) IS NULL OR d.workspace_id = :workspace)
  AND (CAST(:within AS uuid[]) IS NULL OR d.workspace_id = ANY (CAST(:within AS uuid[])))
  AND (CAST(:accounts AS uuid[]) IS NULL OR NOT EXISTS (
      SELECT FROM deliveries o WHERE o.post_id = d.post_id AND o.account_id <> ALL (CAST(:accounts AS uuid[]))))
  AND (CAST(:state AS text) IS NULL OR d.state = :state)
  AND (CAST(:platform AS text) IS NULL OR d.platform = :platform)
  AND (CAST(:account AS uuid) IS NULL OR d.account_id = :account)
  AND (CAST(:error_class AS text) IS NULL OR coalesce(d.error ->> 'class', 'none') = :error_class)
  AND (CAST(:code AS text) IS NULL OR coalesce(d.error ->> 'code', 'none') = :code)
  AND (CAST(:older AS interval) IS NULL OR d.updated_at <= now() - CAST(:older AS interval))
  AND (CAST(:younger AS interval) IS NULL OR d.updated_at >= now() - CAST(:younger AS interval))
"""
_DEAD_LETTERS = f"""
SELECT d.id, d.post_id, d.workspace_id, w.name AS workspace, d.account_id, d.platform, a.username, d.state, d.reason,
       d.generation, d.armed_at IS NOT NULL AS armed, d.updated_at AS died_at, d.due_at, d.spent, d.crashes, d.error
FROM (SELECT d.* {_DEAD} AND (CAST(:id AS uuid) IS NULL OR d.id = :id)
      AND (CAST(:died AS timestamptz) IS NULL OR (d.updated_at, d.id) > (:died, CAST(:last AS uuid)))
      ORDER BY d.updated_at, d.id LIMIT :n) d
JOIN accounts a ON a.id = d.account_id JOIN workspaces w ON w.id = d.workspace_id
ORDER BY died_at, d.id
"""
_CAUSES = """
SELECT d.platform, d.error ->> 'class' AS error_class, d.error ->> 'code' AS code, count(*) AS letters,
       {obstacle} AS obstacle
{source} GROUP BY 1, 2, 3, 5 ORDER BY 4 DESC, 1, 2, 3
"""
_SOME = """
SELECT d.platform, coalesce(d.error ->> 'class', '') AS error_class, count(*) AS n
FROM (SELECT * FROM deliveries WHERE state IN ('failed', 'blocked') ORDER BY id DESC LIMIT :n) d
     JOIN posts p ON p.id = d.post_id
WHERE (d.state = 'failed' OR d.reason = 'person_needed') AND p.deleted_at IS NULL
  AND NOT EXISTS (SELECT FROM discards x WHERE x.delivery_id = d.id AND x.generation = d.generation)
GROUP BY 1, 2
"""
_OBSTACLE = """CASE WHEN d.armed_at IS NOT NULL THEN 'armed'
    WHEN d.state = 'failed' AND EXISTS (SELECT FROM attempts t WHERE t.delivery_id = d.id
                                        AND jsonb_path_exists(t.late, '$[*].remote_id')) THEN 'live' END"""


def list_dead_letters(
    c: Connection, chosen: DeadLetterFilter, *, limit: int, after: Position | None = None
) -> list[DeadLetter]:
    """Return dead letters, oldest failure first; ``after``: where the page before ended."""
    died, last = after or (None, None)
    found = rows(c, _DEAD_LETTERS, **_to_values(chosen), id=None, died=died, last=last, n=limit)
    return [DeadLetter(**r._mapping) for r in found]


def find_dead_letter(c: Connection, delivery: UUID, scope: Scope) -> DeadLetter | None:
    """Return a dead letter; None when it is out of scope, replayed, discarded, or does not exist."""
    found = row(
        c, _DEAD_LETTERS, **_to_values(DeadLetterFilter(scope=scope)), id=delivery, died=None, last=None, n=1
    )
    return None if found is None else DeadLetter(**found._mapping)


def count_causes(c: Connection, chosen: DeadLetterFilter) -> list[Cause]:
    """Count dead letters by platform and error, most frequent first."""
    return count_from(c, _DEAD, _to_values(chosen), obstacle="CAST(NULL AS text)")


def count_some(c: Connection, limit: int) -> dict[tuple[str, str], int]:
    """Count, by platform and class, the dead letters among at most *limit* failed and blocked deliveries."""
    return {(r.platform, r.error_class): r.n for r in rows(c, _SOME, n=limit)}


def count_by_obstacle(c: Connection, chosen: DeadLetterFilter) -> list[Cause]:
    """Count dead letters by platform, error and obstacle."""
    return count_from(c, _DEAD, _to_values(chosen))


def count_from(
    c: Connection, source: str, values: Mapping[str, Any], *, obstacle: str = _OBSTACLE
) -> list[Cause]:
    """Count dead letters ``d`` by platform, error and obstacle. *source*: SQL of FROM and WHERE."""
    found = rows(c, _CAUSES.format(obstacle=obstacle, source=source), **values)
    return [Cause(**r._mapping) for r in found]


def discard(c: Connection, letter: DeadLetter, *, why: str, who: str) -> None:
    """Record that an operator gave a dead letter up. Repeating it changes nothing."""
    row(
        c,
        """INSERT INTO discards (delivery_id, generation, why, who) VALUES (:id, :generation, :why, :who)
           ON CONFLICT DO NOTHING RETURNING at""",
        id=letter.id,
        generation=letter.generation,
        why=why,
        who=who,
    )


def list_discards(c: Connection, delivery: UUID) -> list[Discard]:
    """Return the discards of a delivery, oldest first."""
    found = rows(
        c,
        "SELECT generation, why, who, at FROM discards WHERE delivery_id = :id ORDER BY generation",
        id=delivery,
    )
    return [Discard(**r._mapping) for r in found]


def count_crashes(c: Connection, delivery: UUID) -> int:
    """Count the workers that died with a delivery, over all replays (which reset the delivery's own count)."""
    found = row(
        c, "SELECT count(*) AS n FROM moves WHERE delivery_id = :id AND mover = 'rescue'", id=delivery
    )
    return int(found.n) if found else 0


def _to_values(chosen: DeadLetterFilter) -> dict[str, Any]:
    scope = chosen.scope
    return {
        "workspace": scope.workspace,
        "within": None if scope.within is None else list(scope.within),
        "accounts": None if scope.accounts is None else list(scope.accounts),
        "generation": scope.generation,
        "state": chosen.state,
        "platform": chosen.platform,
        "account": chosen.account,
        "code": chosen.code,
        "error_class": chosen.error_class,
        "older": chosen.older,
        "younger": chosen.younger,
    }
