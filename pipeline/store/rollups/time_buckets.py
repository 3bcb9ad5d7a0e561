"""How many posts of each status were made within a span of time, told without counting them.

``post_spans`` has them by the minute, hour, day and 30 days. A span is put together from these, added and taken away,
and half a minute at either end at the most: only there are rows counted. Folding adds to it what changes append to
``post_deltas`` (migration 0011), so both together are exact at any moment (``counts.py``).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.database import rows
from pipeline.store.rollups.totals_by_status import OVERDUE_WITHIN, told

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
    """Whole spans of so many minutes, to add or to take away; 0: less than the shortest, whose rows are counted."""

    minutes: int
    starts_at: datetime
    ends_at: datetime
    """The first moment that is not in it."""
    sign: int
    """1: to add; -1: to take away."""


def pieces(since: datetime | None, until: datetime | None, lengths: tuple[int, ...] = MINUTES) -> list[Piece]:
    """``since`` to ``until``, both of them in it, put together from few pieces. None: without end on that side."""
    first, end = _edges(since, until)
    return [Piece(n, _moment(a), _moment(b), sign) for n, a, b, sign in _put_together(first, end, 1, lengths)]


def _edges(since: datetime | None, until: datetime | None) -> tuple[int, int]:
    """The first moment of a span, and the first after it."""
    first = (EPOCH if since is None else max(since, EPOCH)) - EPOCH
    last = (END if until is None else min(until, END)) - EPOCH
    return first // _TICK, last // _TICK + 1


def _moment(ticks: int) -> datetime:
    return EPOCH + ticks * _TICK


def _nearest(ticks: int, length: int) -> int:
    return (ticks + length // 2) // length * length


def _put_together(
    first: int, end: int, sign: int, lengths: tuple[int, ...]
) -> Iterator[tuple[int, int, int, int]]:
    """Either end goes to the nearest end of a whole span: what is missing is added, and what is too much taken away."""
    if first >= end:
        return
    if not lengths:
        yield 0, first, end, sign
        return
    length, shorter = lengths[0] * _TICKS, lengths[1:]
    a, b = _nearest(first, length), _nearest(end, length)
    if a >= b:  # no whole one
        yield from _put_together(first, end, sign, shorter)
        return
    yield lengths[0], a, b, sign
    yield from _put_together(first, a, sign, shorter)
    yield from _put_together(a, first, -sign, shorter)
    yield from _put_together(b, end, sign, shorter)
    yield from _put_together(end, b, -sign, shorter)


PIECE = """piece AS (
    SELECT * FROM unnest(CAST(:minutes AS integer[]), CAST(:starts AS timestamptz[]), CAST(:ends AS timestamptz[]),
                         CAST(:signs AS integer[])) AS x (minutes, starts_at, ends_at, sign))"""
"""The pieces as a table of a statement; its values are those of ``bounds``."""
_COUNTED = f"""
WITH {PIECE}
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
UNION ALL {OVERDUE_WITHIN}"""


def bounds(
    since: datetime | None, until: datetime | None, lengths: tuple[int, ...] = MINUTES
) -> dict[str, Any] | None:
    """Values of PIECE for a span, and of OVERDUE_WITHIN; None when nothing can be in it.

    ``whole`` and ``whole_end`` are what all pieces of whole spans come to.
    """
    first, end = _edges(since, until)
    if first >= end:
        return None
    minutes, starts, ends, signs = (
        list(column) for column in zip(*pieces(since, until, lengths), strict=True)
    )
    whole, whole_end = (_moment(_nearest(edge, lengths[-1] * _TICKS)) for edge in (first, end))
    return {
        "minutes": minutes,
        "starts": starts,
        "ends": ends,
        "signs": signs,
        "first": _moment(first),
        "end": _moment(end),
        "whole": whole,
        "whole_end": whole_end,
    }


def counted_within(
    c: Connection, workspace: UUID, since: datetime | None, until: datetime | None
) -> dict[str, int]:
    """Posts made from ``since`` to ``until``, by status as a reader sees them."""
    values = bounds(since, until)
    return {} if values is None else told(rows(c, _COUNTED, w=workspace, **values))
