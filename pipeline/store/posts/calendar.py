"""Posts of a calendar: how many are due in each span of time, on which platforms, and the first of a span.

Every statement reads along an index and stops at a number of rows, however many posts there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.delivery import WAITING, Reason, State
from pipeline.store.database import rows
from pipeline.store.deliveries.holds import quote

Span = tuple[datetime, datetime]
"""From, inclusive, until, exclusive."""
COUNTED = 21_000
"""Posts that are counted for one calendar, in all of its spans together."""
COUNTED_DELIVERIES = 30_000
"""Deliveries whose platforms are counted for one calendar."""
MOST = 180
"""Posts of one calendar, unless it has more spans: where there are more, each span shows fewer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Whose:
    """Whose posts: those of workspaces, or only of their accounts on a platform."""

    workspaces: Sequence[UUID]
    platform: str | None = None

    @property
    def due(self) -> str:
        """Return the SQL after FROM for what is due in a span ``s`` at each workspace, or account, ``w``."""
        if self.platform is None:
            return f"unnest(CAST(:workspaces AS uuid[])) w (id) CROSS JOIN LATERAL ({_OF_WORKSPACES}) x"
        return f"({_ACCOUNTS}) w CROSS JOIN LATERAL ({_OF_ACCOUNTS}) x"

    @property
    def values(self) -> Mapping[str, Any]:
        """Return what its statements bind."""
        return {"workspaces": list(self.workspaces), "platform": self.platform}


@dataclass(frozen=True, kw_only=True, slots=True)
class DuePost:
    """A post, and when it is due: at the accounts that were asked for, if some were."""

    id: UUID
    due_at: datetime


@dataclass(kw_only=True, slots=True)
class SpanCount:
    """How many posts a span has. ``has_more``: more were not counted, and nothing more is known of it."""

    posts: int = 0
    has_more: bool = False
    parts: dict[int, int] = field(default_factory=dict)
    """Its posts by the parts of the spans, from 1."""
    platforms: Counter[str] = field(default_factory=Counter)
    """Its deliveries that are not canceled."""
    waits: Counter[str] = field(default_factory=Counter)
    """Those of them that wait for somebody, by the reason."""
    is_cut: bool = False
    """There are more deliveries, which were not counted."""


_SPANS = """unnest(CAST(:starts AS timestamptz[]), CAST(:ends AS timestamptz[])) WITH ORDINALITY
            AS s (starts, ends, n)"""
_ACCOUNTS = """SELECT a.id, a.platform, a.status FROM accounts a
               WHERE a.workspace_id = ANY (CAST(:workspaces AS uuid[]))
                 AND a.platform = coalesce(:platform, a.platform)"""
_OPEN = quote(WAITING | {State.ACCEPTED})
# Each is asked for what waits and for the rest: two indexes, of which a new post is in one only. Pairs as bounds, or
# the planner takes an index of the due times of all workspaces.
_OF_WORKSPACES = " UNION ALL ".join(
    f"""(SELECT o.id, o.due_at FROM posts o
         WHERE (o.workspace_id, o.due_at) >= (w.id, s.starts)
           AND (o.workspace_id, o.due_at) < (w.id, s.ends)
           AND o.deleted_at IS NULL AND o.status {which} 'scheduled'
         ORDER BY o.workspace_id, o.due_at, o.id LIMIT :n)"""
    for which in ("=", "<>")
)
# a subselect instead of a join: a plan cached while the tables are small would scan them when they have grown
_OF_ACCOUNTS = " UNION ALL ".join(
    f"""(SELECT d.post_id AS id, d.due_at FROM post_deliveries d
         WHERE d.account_id = w.id AND d.due_at >= s.starts AND d.due_at < s.ends AND d.state {which} ({_OPEN})
           AND (SELECT o.id FROM posts o WHERE o.id = d.post_id AND o.deleted_at IS NULL) IS NOT NULL
         ORDER BY d.due_at, d.post_id LIMIT :n)"""
    for which in ("IN", "NOT IN")
)
# what waits is read from its index alone; a canceled delivery may be one that an edit took off, or of a deleted post
_PLATFORMS = " UNION ALL ".join(
    f"""(SELECT d.due_at, {reason} AS reason FROM post_deliveries d
         WHERE d.account_id = w.id AND d.due_at >= s.starts AND d.due_at < s.ends AND {which} LIMIT :n)"""
    for reason, which in (
        (f"CASE w.status WHEN '{Reason.RECONNECT}' THEN '{Reason.RECONNECT}' END", f"d.state IN ({_OPEN})"),
        ("d.reason", f"d.state NOT IN ({_OPEN}) AND d.state <> '{State.CANCELLED}'"),
    )
)


def count_due(
    c: Connection, whose: Whose, spans: Sequence[Span], parts: Sequence[datetime]
) -> list[SpanCount]:
    """Count the posts that are due in each span, by platform, and by *parts*, which begin at these times."""
    most = COUNTED // len(spans)
    counted = "count(*)" if whose.platform is None else "count(DISTINCT p.id)"
    sql = f"""
        SELECT s.n, width_bucket(p.due_at, CAST(:parts AS timestamptz[])) AS part, count(*) AS read, {counted} AS posts
        FROM {_SPANS} CROSS JOIN LATERAL (SELECT x.id, x.due_at FROM {whose.due} LIMIT :n) p GROUP BY 1, 2"""
    found, read = [SpanCount() for _ in spans], Counter[int]()
    for one in rows(c, sql, n=most, parts=list(parts), **_split(spans), **whose.values):
        span = found[one.n - 1]
        read[one.n - 1] += one.read
        span.posts, span.has_more = span.posts + one.posts, read[one.n - 1] >= most
        span.parts[one.part] = one.posts
    _count_platforms(
        c, whose, {span: one for span, one in zip(spans, found, strict=True) if not one.has_more}
    )
    return found


def _count_platforms(c: Connection, whose: Whose, found: Mapping[Span, SpanCount]) -> None:
    """Count the deliveries of these spans, which have no more posts than were counted."""
    sql = f"""
        SELECT width_bucket(x.due_at, CAST(:parts AS timestamptz[])) AS n, x.platform, x.reason, count(*) AS number
        FROM (SELECT w.platform, y.due_at, y.reason
              FROM {_SPANS} CROSS JOIN ({_ACCOUNTS}) w CROSS JOIN LATERAL ({_PLATFORMS}) y LIMIT :n) x
        GROUP BY 1, 2, 3"""
    spans, counts = [*found], [*found.values()]
    starts = [start for start, _ in spans]
    read = rows(c, sql, n=COUNTED_DELIVERIES, parts=starts, **_split(_merge(spans)), **whose.values)
    is_cut = sum(one.number for one in read) >= COUNTED_DELIVERIES
    for one in read:
        span = counts[one.n - 1]
        span.is_cut = is_cut
        span.platforms[one.platform] += one.number
        if one.reason:
            span.waits[one.reason] += one.number


def list_due(c: Connection, whose: Whose, spans: Sequence[Span], *, shown: int) -> list[list[DuePost]]:
    """Return the first posts of each span: ``shown`` at most, fewer where there are very many spans, but one."""
    sql = f"""
        SELECT s.n, p.id, p.due_at
        FROM {_SPANS} CROSS JOIN LATERAL (
            SELECT DISTINCT x.due_at, x.id FROM {whose.due} ORDER BY x.due_at, x.id LIMIT :n) p
        ORDER BY s.n, p.due_at, p.id"""
    found: list[list[DuePost]] = [[] for _ in spans]
    for one in rows(c, sql, n=shown, **_split(spans), **whose.values):
        found[one.n - 1].append(DuePost(id=one.id, due_at=one.due_at))
    shown = _limit_shown([len(posts) for posts in found], shown)
    return [posts[:shown] for posts in found]


def _limit_shown(found: Sequence[int], shown: int) -> int:
    """Return how many posts each span shows, so that all together show no more than ``MOST``."""
    while shown > 1 and sum(min(number, shown) for number in found) > MOST:
        shown -= 1
    return shown


def _merge(spans: Sequence[Span]) -> list[Span]:
    """Return the spans with each that begins where another ends joined to that one."""
    found: list[Span] = []
    for start, end in spans:
        is_next = bool(found) and found[-1][1] == start
        found.append((found.pop()[0] if is_next else start, end))
    return found


def _split(spans: Sequence[Span]) -> Mapping[str, Any]:
    return {"starts": [start for start, _ in spans], "ends": [end for _, end in spans]}
