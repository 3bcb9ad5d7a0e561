"""Dead letters: deliveries that failed, or are blocked until an operator acts, and are not discarded.

A dead letter is not moved to another table: it is a delivery that is `failed`, or `blocked` as `person_needed`, without
a discard of its generation. A replayed delivery is no dead letter until it fails again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.database import insert, read_all, read_number, rows
from pipeline.store.deliveries.history import IS_PROVEN_LIVE
from pipeline.store.deliveries.ownership import Scope
from pipeline.store.deliveries.selection import (
    DISCARDED,
    NAMED_COLUMNS,
    NAMES,
    POSTED,
    ListFilter,
    select_posted,
)
from pipeline.store.posts.views import NamedDelivery
from pipeline.store.selection import Keyset, equal, select

Obstacle = Literal["armed", "live"]
"""Armed: it may be live. Live: late proof shows that it is."""
Position = tuple[datetime, UUID]
"""The keyset of a page: when its last dead letter failed, and its id."""
OLDEST = Keyset({"d.updated_at": "timestamptz", "d.id": "uuid"})


@dataclass(kw_only=True, slots=True)
class DeadLetter(NamedDelivery):
    """A dead letter and its error. ``crashes``: workers that died with it; ``spent``: attempts used up."""

    workspace: str
    spent: int
    crashes: int
    workspace_id: UUID
    armed: bool
    died_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Cause:
    """How many dead letters have the same error."""

    platform: str
    error_class: str | None
    code: str | None
    letters: int
    obstacle: Obstacle | None = None
    """The reason why they are not sent again, by which ``count_by_obstacle`` groups."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Discard:
    """The record of an operator who gave a delivery up."""

    generation: int
    why: str
    who: str
    at: datetime


IS_DEAD = f"""d.state IN ('failed', 'blocked') AND (d.state = 'failed' OR d.reason = 'person_needed')
  AND NOT {DISCARDED}"""
"""Condition on a delivery ``d``."""
_DEAD_LETTERS = f"""
SELECT d.id, d.workspace_id, d.account_id, d.platform, d.state, d.due_at, {NAMED_COLUMNS},
       d.armed_at IS NOT NULL AS armed, d.updated_at AS died_at
FROM (SELECT d.* FROM {POSTED} WHERE {{where}} ORDER BY {OLDEST.order} LIMIT :n) d {NAMES} ORDER BY {OLDEST.order}
"""
_CAUSES = """
SELECT d.platform, d.error ->> 'class' AS error_class, d.error ->> 'code' AS code, count(*) AS letters,
       {obstacle} AS obstacle
FROM {source} WHERE {where} GROUP BY 1, 2, 3, 5 ORDER BY 4 DESC, 1, 2, 3
"""
_SOME = f"""
SELECT d.platform, coalesce(d.error ->> 'class', '') AS error_class, count(*) AS n
FROM (SELECT * FROM post_deliveries WHERE state IN ('failed', 'blocked') ORDER BY id DESC LIMIT :n) d
     JOIN posts p ON p.id = d.post_id
WHERE {IS_DEAD} AND p.deleted_at IS NULL
GROUP BY 1, 2
"""
_OBSTACLE = f"""CASE WHEN d.armed_at IS NOT NULL THEN 'armed'
    WHEN d.state = 'failed' AND {IS_PROVEN_LIVE} THEN 'live' END"""


def list_dead_letters(
    c: Connection, chosen: ListFilter, *, limit: int, after: Position | None = None
) -> list[DeadLetter]:
    """Return dead letters, oldest failure first; ``after``: where the page before ended."""
    where = select_posted(chosen, IS_DEAD) & OLDEST.start_after(after)
    return read_all(c, DeadLetter, _DEAD_LETTERS.format(where=where), **where.values, n=limit)


def find_dead_letter(c: Connection, delivery: UUID, scope: Scope) -> DeadLetter | None:
    """Return a dead letter; None when it is out of scope, replayed, discarded, or does not exist."""
    found = list_dead_letters(c, ListFilter(scope=scope, deliveries=(delivery,)), limit=1)
    return found[0] if found else None


def list_workspaces(c: Connection, chosen: ListFilter) -> dict[UUID, UUID]:
    """Return the workspace of each dead letter, oldest failure first."""
    where = select_posted(chosen, IS_DEAD)
    sql = f"SELECT d.id, d.workspace_id FROM {POSTED} WHERE {where} ORDER BY {OLDEST.order}"
    return {r.id: r.workspace_id for r in rows(c, sql, **where.values)}


def count_causes(c: Connection, chosen: ListFilter) -> list[Cause]:
    """Count dead letters by platform and error, most frequent first."""
    return count_by_obstacle(c, chosen, obstacle="CAST(NULL AS text)")


def count_some(c: Connection, limit: int) -> dict[tuple[str, str], int]:
    """Count, by platform and class, the dead letters among at most *limit* failed and blocked deliveries."""
    return {(r.platform, r.error_class): r.n for r in rows(c, _SOME, n=limit)}


def count_by_obstacle(c: Connection, chosen: ListFilter, *, obstacle: str = _OBSTACLE) -> list[Cause]:
    """Count dead letters by platform, error and obstacle."""
    where = select_posted(chosen, IS_DEAD)
    return read_all(c, Cause, _CAUSES.format(obstacle=obstacle, source=POSTED, where=where), **where.values)


def discard(c: Connection, dead_letter: DeadLetter, *, why: str, who: str) -> None:
    """Record that an operator gave a dead letter up. Repeating it changes nothing."""
    letter, generation = dead_letter.id, dead_letter.generation
    given: dict[str, Any] = {"delivery_id": letter, "generation": generation, "why": why, "who": who}
    insert(c, "discards", conflict="DO NOTHING", **given)


def list_discards(c: Connection, delivery: UUID) -> list[Discard]:
    """Return the discards of a delivery, oldest first."""
    return select(c, Discard, "discards", equal(delivery_id=delivery), by="generation")


def count_crashes(c: Connection, delivery: UUID) -> int:
    """Count the workers that died with a delivery, over all replays (which reset the delivery's own count)."""
    sql = "SELECT count(*) AS n FROM moves WHERE delivery_id = :id AND mover = 'rescue'"
    return read_number(c, sql, id=delivery)
