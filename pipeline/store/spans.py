"""How many posts of each status were made within a span of time, told without counting them.

``post_spans`` has them by the minute, hour, day and 30 days. A span is taken apart into the longest of these that lie
within it, and less than a minute at either end: only there are rows counted. Folding adds to it what changes append to
``post_deltas`` (migration 0011), so both together are exact at any moment (``counts.py``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.counts import OVERDUE_WITHIN, told
from pipeline.store.database import rows

CENTURY = 51_840_000
"""Minutes: 1200 times 30 days, some 98 years. From the epoch that is until 2068."""
MINUTES = (43_200, 1_440, 60, 1)
"""Lengths of the spans in ``post_spans``, each a multiple of the next; they are laid end to end from the epoch."""
_TICK = timedelta(microseconds=1)
"""What a timestamp of PostgreSQL counts."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
END = EPOCH + 60 * timedelta(minutes=CENTURY) - _TICK
"""No post is made outside (it ends in 7883): the database's clock says when. Whole spans of every length lie within."""
_TICKS = timedelta(minutes=1) // _TICK


class Piece(NamedTuple):
    """A part of a span: whole spans of so many minutes; 0: less than the shortest, whose rows are counted."""

    minutes: int
    starts_at: datetime
    ends_at: datetime
    """The first moment that is not in it."""


def pieces(since: datetime | None, until: datetime | None, lengths: tuple[int, ...] = MINUTES) -> list[Piece]:
    """``since`` to ``until``, both of them in it, in few pieces in their order. None: without end on that side."""
    first = ((EPOCH if since is None else max(since, EPOCH)) - EPOCH) // _TICK
    last = ((END if until is None else min(until, END)) - EPOCH) // _TICK
    return [Piece(n, EPOCH + a * _TICK, EPOCH + b * _TICK) for n, a, b in _apart(first, last + 1, lengths)]


def _apart(first: int, end: int, lengths: tuple[int, ...]) -> Iterator[tuple[int, int, int]]:
    if first >= end:
        return
    if not lengths:
        yield 0, first, end
        return
    length = lengths[0] * _TICKS
    up, down = -(-first // length) * length, end // length * length
    if up >= down:  # no whole one
        yield from _apart(first, end, lengths[1:])
        return
    yield from _apart(first, up, lengths[1:])
    yield lengths[0], up, down
    yield from _apart(down, end, lengths[1:])


PIECE = """piece AS (
    SELECT * FROM unnest(CAST(:minutes AS integer[]), CAST(:starts AS timestamptz[]), CAST(:ends AS timestamptz[]))
               AS x (minutes, starts_at, ends_at))"""
"""The pieces as a table of a statement; its values are those of ``bounds``."""
_COUNTED = f"""
WITH {PIECE}
SELECT status, CAST(sum(n) AS bigint) AS n FROM (
    SELECT x.status, x.n FROM piece p, LATERAL (
        SELECT status, sum(n) AS n FROM post_spans s WHERE s.workspace_id = :w AND s.minutes = p.minutes
        AND s.starts_at >= p.starts_at AND s.starts_at < p.ends_at GROUP BY status) x
    UNION ALL SELECT d.status, d.n
    FROM post_deltas d, (SELECT min(starts_at) AS a, max(ends_at) AS b FROM piece WHERE minutes > 0) whole
    WHERE d.workspace_id = :w AND d.minute >= whole.a AND d.minute < whole.b
    UNION ALL SELECT x.status, x.n FROM piece p, LATERAL (
        SELECT status, count(*) AS n FROM posts WHERE workspace_id = :w AND deleted_at IS NULL
        AND created_at >= p.starts_at AND created_at < p.ends_at GROUP BY status) x WHERE p.minutes = 0) parts
GROUP BY status
UNION ALL {OVERDUE_WITHIN}"""


def bounds(found: Sequence[Piece]) -> dict[str, Any]:
    """Values of PIECE, and of OVERDUE_WITHIN for the span that the pieces are of."""
    minutes, starts, ends = (list(column) for column in zip(*found, strict=True))
    return {"minutes": minutes, "starts": starts, "ends": ends, "first": starts[0], "end": ends[-1]}


def counted_within(
    c: Connection, workspace: UUID, since: datetime | None, until: datetime | None
) -> dict[str, int]:
    """Posts made from ``since`` to ``until``, by status as a reader sees them."""
    found = pieces(since, until)
    if not found:
        return {}
    return told(rows(c, _COUNTED, w=workspace, **bounds(found)))
