"""How many posts of each status a workspace has: all of them, or posts created within a span of time.

Totals are the compacted ones plus the deltas since, and count no rows. Triggers on ``posts`` append a row to
``post_deltas`` per change (one for a whole batch of new posts), and maintenance compacts them (``settled_counts.py``):
a counter that each transaction updates would be a lock that all posts of a workspace queue for.

``post_spans`` holds totals by the minute, hour, day and 30 days. A span is put together from these buckets, added and
subtracted, and rows are counted only for half a minute at either end. Compaction adds what changes append to
``post_deltas`` (``schema.sql``), so buckets and deltas together are exact at any time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.database import rows

_ALL = """
SELECT status, CAST(sum(n) AS bigint) AS n FROM (
    SELECT status, n FROM post_counts WHERE workspace_id = :w
    UNION ALL SELECT status, n FROM post_deltas WHERE workspace_id = :w) parts
GROUP BY status
"""
IS_OVERDUE = "due_at BETWEEN (SELECT CAST('-infinity' AS timestamptz)) AND (SELECT now())"
"""Condition on a scheduled post: its time has come.

The subselects hide the bounds from the planner. With ``due_at <= now()`` it expects nearly all scheduled posts, since
most posts are, and starts parallel workers (8 ms) to find a few.
"""
_OVERDUE = f"""
SELECT 'overdue' AS status, count(*) AS n FROM posts
WHERE workspace_id = :w AND status = 'scheduled' AND deleted_at IS NULL AND {IS_OVERDUE}
"""
OVERDUE_BETWEEN = (
    f"""{_OVERDUE} AND created_at + interval '0' >= :first AND created_at + interval '0' < :end"""
)
"""Posts created within a span of time; the sums keep the planner from reading every scheduled post created in it."""


def count_all(c: Connection, workspace: UUID) -> dict[str, int]:
    """Return the number of posts by public status: a scheduled post whose time has come is pending."""
    return to_public_totals(rows(c, f"{_ALL} UNION ALL {_OVERDUE}", w=workspace))


def to_public_totals(found: Iterable[Any]) -> dict[str, int]:
    """Turn rows of status and ``n``, one of them ``overdue``, into totals by public status."""
    by_status = {r.status: int(r.n) for r in found}
    overdue = by_status.pop("overdue")
    by_status["scheduled"] = by_status.get("scheduled", 0) - overdue
    by_status["pending"] = by_status.get("pending", 0) + overdue
    return {status: n for status, n in by_status.items() if n}


MINUTES = (43_200, 1_440, 60, 1)
"""Lengths of the buckets in ``post_spans``, each a multiple of the next; buckets are aligned to the epoch."""
_TICK = timedelta(microseconds=1)
"""The resolution of a PostgreSQL timestamp."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
END = EPOCH + timedelta(days=2_160_000) - _TICK
"""The year 7883: no post is created after it, and whole buckets of every length end with it."""
_TICKS = timedelta(minutes=1) // _TICK


class Piece(NamedTuple):
    """Consecutive buckets of ``minutes`` each, to add or subtract; 0: shorter than a bucket, so rows are counted."""

    minutes: int
    starts_at: datetime
    ends_at: datetime
    """Exclusive."""
    sign: int
    """1: add; -1: subtract."""


def split_span(since: datetime | None, until: datetime | None) -> list[Piece]:
    """Split ``since`` to ``until``, both inclusive, into few pieces. None: unbounded on that side."""
    first, end = _to_ticks(since, until)
    return [Piece(n, _to_moment(a), _to_moment(b), sign) for n, a, b, sign in _split(first, end, 1, MINUTES)]


def _to_ticks(since: datetime | None, until: datetime | None) -> tuple[int, int]:
    """Return a span in ticks, its end exclusive."""
    first = (EPOCH if since is None else max(since, EPOCH)) - EPOCH
    last = (END if until is None else min(until, END)) - EPOCH
    return first // _TICK, last // _TICK + 1


def _to_moment(ticks: int) -> datetime:
    return EPOCH + ticks * _TICK


def _round(ticks: int, length: int) -> int:
    return (ticks + length // 2) // length * length


def _split(first: int, end: int, sign: int, lengths: tuple[int, ...]) -> Iterator[tuple[int, int, int, int]]:
    """Round either end to the nearest bucket; add what that leaves out, subtract what it takes in too much."""
    if first >= end:
        return
    if not lengths:
        yield 0, first, end, sign
        return
    length, shorter = lengths[0] * _TICKS, lengths[1:]
    a, b = _round(first, length), _round(end, length)
    if a >= b:  # no whole bucket
        yield from _split(first, end, sign, shorter)
        return
    yield lengths[0], a, b, sign
    yield from _split(first, a, sign, shorter)
    yield from _split(a, first, -sign, shorter)
    yield from _split(b, end, sign, shorter)
    yield from _split(end, b, -sign, shorter)


_COUNTED = f"""
WITH piece AS (
    SELECT * FROM unnest(CAST(:minutes AS integer[]), CAST(:starts AS timestamptz[]), CAST(:ends AS timestamptz[]),
                         CAST(:signs AS integer[])) AS x (minutes, starts_at, ends_at, sign))
SELECT status, CAST(sum(n) AS bigint) AS n FROM (
    SELECT x.status, p.sign * x.n AS n FROM piece p, LATERAL (
        SELECT status, sum(n) AS n FROM post_spans s WHERE s.workspace_id = :w AND s.minutes = p.minutes
        AND s.starts_at >= p.starts_at AND s.starts_at < p.ends_at GROUP BY status) x
    UNION ALL SELECT status, n FROM post_deltas
    WHERE workspace_id = :w AND minute >= :whole AND minute < :whole_end
    UNION ALL SELECT x.status, p.sign * x.n FROM piece p, LATERAL (
        SELECT status, count(*) AS n FROM posts WHERE workspace_id = :w AND deleted_at IS NULL
        AND created_at >= p.starts_at AND created_at < p.ends_at GROUP BY status) x WHERE p.minutes = 0) parts
GROUP BY status
UNION ALL {OVERDUE_BETWEEN}"""


def build_span_values(since: datetime | None, until: datetime | None) -> dict[str, Any] | None:
    """Return the values of the statement for a span; None when the span is empty.

    ``whole`` and ``whole_end`` bound the pieces that are made of buckets.
    """
    first, end = _to_ticks(since, until)
    if first >= end:
        return None
    minutes, starts, ends, signs = (list(column) for column in zip(*split_span(since, until), strict=True))
    whole, whole_end = (_to_moment(_round(edge, MINUTES[-1] * _TICKS)) for edge in (first, end))
    return {
        "minutes": minutes,
        "starts": starts,
        "ends": ends,
        "signs": signs,
        "first": _to_moment(first),
        "end": _to_moment(end),
        "whole": whole,
        "whole_end": whole_end,
    }


def count_between(
    c: Connection, workspace: UUID, since: datetime | None, until: datetime | None
) -> dict[str, int]:
    """Return the number of posts created from ``since`` to ``until`` by public status."""
    values = build_span_values(since, until)
    return {} if values is None else to_public_totals(rows(c, _COUNTED, w=workspace, **values))
