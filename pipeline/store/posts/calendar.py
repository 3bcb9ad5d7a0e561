"""Posts of a calendar: of each span of time the first few, and how many there are, however many that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.database import rows

Span = tuple[datetime, datetime]
"""From, inclusive, until, exclusive."""
COUNTED = 10_000
"""Posts that are counted for one calendar, in all of its spans together."""
MOST = 250
"""Posts of one calendar, unless it has more spans: where there are more, each span shows fewer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DuePost:
    """A post, and when it is due: at the account that was asked for, if one was."""

    id: UUID
    due_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class FilledSpan:
    """The first posts of a span. ``others``: how many more there are; ``has_more``: even more were not counted."""

    span: Span
    posts: Sequence[DuePost]
    others: int
    has_more: bool


_SPANS = """unnest(CAST(:starts AS timestamptz[]), CAST(:ends AS timestamptz[])) WITH ORDINALITY
            AS s (starts, ends, n)"""
# Each is asked for what waits and for the rest: two indexes, of which a new post is in one only. Pairs as bounds, or
# the planner takes an index of the due times of all workspaces.
_OF_WORKSPACE = " UNION ALL ".join(
    f"""(SELECT o.id, o.due_at FROM posts o
         WHERE (o.workspace_id, o.due_at) >= (:workspace, s.starts)
           AND (o.workspace_id, o.due_at) < (:workspace, s.ends)
           AND o.deleted_at IS NULL AND o.status {which} 'scheduled'
         ORDER BY o.workspace_id, o.due_at, o.id LIMIT :n)"""
    for which in ("=", "<>")
)
# a subselect instead of a join: a plan cached while the tables are small would scan them when they have grown
_OF_ACCOUNT = " UNION ALL ".join(
    f"""(SELECT d.post_id AS id, d.due_at FROM deliveries d
         WHERE d.account_id = :account AND d.due_at >= s.starts AND d.due_at < s.ends
           AND d.state {which} ('accepted', 'scheduled', 'retrying')
           AND (SELECT o.id FROM posts o
                WHERE o.id = d.post_id AND o.workspace_id = :workspace AND o.deleted_at IS NULL) IS NOT NULL
         ORDER BY d.due_at, d.post_id LIMIT :n)"""
    for which in ("IN", "NOT IN")
)


def list_due(
    c: Connection, workspace: UUID, account: UUID | None, spans: Sequence[Span], *, shown: int
) -> list[FilledSpan]:
    """Return the posts of a workspace, or of one of its accounts, that are due in each span: ``shown`` at most.

    Each span shows at least one of its posts, if it has any.
    """
    due = _OF_WORKSPACE if account is None else _OF_ACCOUNT
    values = {"workspace": workspace, "account": account}
    found: dict[int, list[DuePost]] = {n: [] for n in range(len(spans))}
    first = f"SELECT * FROM ({due}) x ORDER BY due_at, id LIMIT :n"
    sql = f"SELECT s.n, p.id, p.due_at FROM {_SPANS} CROSS JOIN LATERAL ({first}) p ORDER BY s.n, p.due_at, p.id"
    for one in rows(c, sql, n=shown + 1, **_split(spans), **values):
        found[one.n - 1].append(DuePost(id=one.id, due_at=one.due_at))
    counted = _count(c, due, [spans[n] for n, posts in found.items() if len(posts) > shown], values)
    shown = _limit_shown([len(posts) for posts in found.values()], shown)
    return [_fill(spans[n], posts, shown, counted.get(spans[n])) for n, posts in found.items()]


def _limit_shown(found: Sequence[int], shown: int) -> int:
    """Return how many posts each span shows, so that all together show no more than ``MOST``."""
    while shown > 1 and sum(min(number, shown) for number in found) > MOST:
        shown -= 1
    return shown


def _count(
    c: Connection, due: str, spans: Sequence[Span], values: Mapping[str, Any]
) -> dict[Span, tuple[int, bool]]:
    """Count the posts of each span; True: there are more than that."""
    if not spans:
        return {}
    most = COUNTED // len(spans)
    sql = f"SELECT s.n, (SELECT count(*) FROM (SELECT FROM ({due}) y LIMIT :n) x) AS posts FROM {_SPANS}"
    found = rows(c, sql, n=most + 1, **_split(spans), **values)
    return {spans[one.n - 1]: (min(one.posts, most), one.posts > most) for one in found}


def _fill(span: Span, posts: Sequence[DuePost], shown: int, counted: tuple[int, bool] | None) -> FilledSpan:
    total, has_more = counted or (len(posts), False)
    first = posts[:shown]
    return FilledSpan(span=span, posts=first, others=total - len(first), has_more=has_more)


def _split(spans: Sequence[Span]) -> dict[str, list[datetime]]:
    return {"starts": [start for start, _ in spans], "ends": [end for _, end in spans]}
