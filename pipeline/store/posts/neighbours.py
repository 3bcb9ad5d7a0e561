"""Neighbours of posts, by two indexes on accounts and due times: of what waits, and of everything else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import timedelta

from sqlalchemy import Connection

from pipeline.domain.neighbours import MOST, Match, Neighbour, Part
from pipeline.store.array_literals import write_ids, write_times, write_words
from pipeline.store.database import rows

_WAITING = "state IN ('accepted', 'scheduled', 'retrying')"
_OTHERS = "state NOT IN ('accepted', 'scheduled', 'retrying') AND state NOT IN ('failed', 'cancelled')"
_FROM, _TO = (
    "due_at >= x.due - greatest(x.gap, interval '1 day')",
    "due_at <= x.due + greatest(x.gap, interval '1 day')",
)
_READ = " UNION ALL ".join(
    f"""(SELECT post_id, due_at, caption_digest, media_digest FROM post_deliveries
         WHERE account_id = x.account AND {condition} LIMIT {MOST})"""
    for condition in (
        f"{_WAITING} AND {_FROM} AND due_at < x.due ORDER BY due_at DESC",
        f"{_WAITING} AND due_at >= x.due AND {_TO} ORDER BY due_at",
        f"{_OTHERS} AND {_FROM} AND {_TO} ORDER BY due_at DESC",
    )
)
_IS_CLOSE = "(d.due_at = x.due OR d.due_at > x.due - x.gap AND d.due_at < x.due + x.gap)"
_IS_NEAR = "d.due_at > x.due - interval '1 day' AND d.due_at < x.due + interval '1 day'"


def build_neighbours(post: str) -> str:
    """Return the LATERAL query of the nearest neighbours of ``x``: account, due, gap, caption and media.

    Of each sum of matches one is found. At most ``MOST`` deliveries that wait are read on each side of the time, and
    as many of the others, the latest; failed and canceled ones are none, nor are those of *post*.
    """
    return f"""LATERAL (
        SELECT DISTINCT ON (match) match, post_id, due_at FROM (
            SELECT CASE WHEN {_IS_CLOSE} THEN {Match.GAP:d} ELSE 0 END + CASE WHEN {_IS_NEAR} THEN
                       CASE WHEN d.caption_digest = x.caption THEN {Match.CAPTION:d} ELSE 0 END
                       + CASE WHEN d.media_digest = x.media THEN {Match.MEDIA:d} ELSE 0 END ELSE 0 END AS match, d.*
            FROM ({_READ}) d
            WHERE ({_IS_CLOSE} OR d.caption_digest = x.caption OR d.media_digest = x.media)
              AND d.post_id IS DISTINCT FROM {post}) d
        WHERE match > 0 ORDER BY match, greatest(due_at - x.due, x.due - due_at))"""


_FIND = f"""
SELECT x.i, n.* FROM unnest(:post::uuid[], :account::uuid[], :due::timestamptz[], :gap::interval[], :caption::bigint[],
                            :media::bigint[]) WITH ORDINALITY AS x (post, account, due, gap, caption, media, i),
     {build_neighbours("x.post")} n
"""


def find_neighbours(c: Connection, parts: Sequence[Part]) -> dict[int, list[Neighbour]]:
    """Return the nearest stored neighbours of parts, by position: one of each sum of matches."""
    if not parts:
        return {}
    found: dict[int, list[Neighbour]] = defaultdict(list)
    for r in rows(
        c,
        _FIND,
        post=write_ids(None if isinstance(p.post, int) else p.post for p in parts),
        account=write_ids(p.account_id for p in parts),
        due=write_times(p.due_at for p in parts),
        gap=write_gaps(p.least_gap for p in parts),
        caption=write_numbers(p.content.caption for p in parts),
        media=write_numbers(p.content.media for p in parts),
    ):
        found[r.i - 1].append(Neighbour(r.match, r.post_id, r.due_at))
    return found


def write_gaps(gaps: Iterable[timedelta | None]) -> str:
    """Write intervals in seconds as an array literal."""
    return write_numbers(None if gap is None else gap.days * 86_400 + gap.seconds for gap in gaps)


def write_numbers(numbers: Iterable[int | None]) -> str:
    """Write numbers as an array literal."""
    return write_words("NULL" if number is None else number for number in numbers)
