"""Totals of a time span equal a count of its rows, after every change and during compaction."""
# ruff: noqa: S608  statements of this file are put together from its own parts; values are always bound

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipeline.store.database import rows
from pipeline.store.posts.pages import count_by_status
from pipeline.store.rollups import settled_counts as compaction
from pipeline.store.rollups.time_buckets import END, EPOCH, MINUTES, build_span_values, split_span
from tests.pipeline.store.ledger import Ledger, together

Step = tuple[Any, ...]
"""Something done to posts: its name, and what with (``take``)."""
TICK = timedelta(microseconds=1)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
STATUSES = ("scheduled", "pending", "posted", "failed")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
"""A whole hour: what lies around it is in different minutes, hours and days."""

_BY_ROWS = """SELECT CASE WHEN status = 'scheduled' AND due_at <= now() THEN 'pending' ELSE status END AS word,
                     count(*) AS n FROM posts WHERE workspace_id = :w AND deleted_at IS NULL
              AND created_at >= coalesce(:since, CAST('-infinity' AS timestamptz))
              AND created_at <= coalesce(:until, CAST('infinity' AS timestamptz)) GROUP BY 1"""
_SPANS_BY_ROWS = """
SELECT workspace_id, m AS minutes, date_bin(make_interval(mins => m), created_at, timestamptz 'epoch') AS at, status,
       count(*) AS n
FROM posts, unnest(ARRAY[1, 60, 1440, 43200]) AS m WHERE deleted_at IS NULL GROUP BY 1, 2, 3, 4"""
_SPANS = "SELECT workspace_id, minutes, starts_at AS at, status, n FROM post_spans"
_STORE = """INSERT INTO posts (id, workspace_id, caption, media, due_at, status, created_at)
            SELECT gen_random_uuid(), %(w)s, 'x', '{}', now() + %(due)s, %(status)s, at
            FROM unnest(%(times)s::timestamptz[]) AS at"""
_SOME = "WHERE id IN (SELECT id FROM posts WHERE workspace_id = %(w)s ORDER BY id LIMIT %(n)s)"
_CHANGES = (
    f"UPDATE posts SET deleted_at = now() {_SOME}",
    f"UPDATE posts SET deleted_at = NULL {_SOME}",
    f"UPDATE posts SET created_at = created_at + interval '61 minutes' {_SOME}",
    f"UPDATE posts SET due_at = now() {_SOME}",
    f"UPDATE posts SET caption = 'another' {_SOME}",
    f"DELETE FROM posts {_SOME}",
    *(f"UPDATE posts SET status = '{status}' {_SOME}" for status in STATUSES),
)

_OFFSETS = st.one_of(
    st.sampled_from([timedelta(0), TICK, -TICK, MINUTE - TICK, MINUTE, DAY, -DAY, 30 * DAY]),
    st.timedeltas(timedelta(minutes=-3), timedelta(minutes=3)),
    st.timedeltas(timedelta(hours=-30), timedelta(hours=30)),
    st.timedeltas(timedelta(days=-70), timedelta(days=70)),
)
_TIMES = _OFFSETS.map(lambda offset: NOON + offset)
_BOUNDS = st.one_of(
    st.none(), _TIMES, st.sampled_from([datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)])
)
_STORED = st.tuples(
    st.just("store"),
    st.lists(_TIMES, min_size=1, max_size=8),
    st.sampled_from(STATUSES),
    st.sampled_from([-DAY, DAY]),
)
_CHANGED = st.tuples(st.just("change"), st.sampled_from(_CHANGES), st.integers(1, 5))
_COMPACTED = st.tuples(st.just("compact"))
_STEPS = st.lists(st.one_of(_STORED, _STORED, _CHANGED, _CHANGED, _COMPACTED), min_size=1, max_size=10)


# --- taking a span apart ---------------------------------------------------------------------------------------------


@given(since=_BOUNDS, until=_BOUNDS)
@example(since=None, until=None)
@example(since=NOON - TICK, until=NOON)
def test_the_pieces_come_to_the_span_and_nothing_else(since: datetime | None, until: datetime | None) -> None:
    found = split_span(since, until)
    first, end = max(since or EPOCH, EPOCH), min(until or END, END) + TICK
    assert all(piece.starts_at < piece.ends_at for piece in found)
    edges = sorted({first, end, *(p.starts_at for p in found), *(p.ends_at for p in found)})
    for at, after in pairwise(edges):
        counted = sum(p.sign for p in found if p.starts_at <= at and after <= p.ends_at)
        assert counted == (first <= at and after <= end), f"{at} to {after} is counted {counted} times"


@given(since=_BOUNDS, until=_BOUNDS)
def test_pieces_are_whole_spans_but_for_half_a_minute_at_either_end(
    since: datetime | None, until: datetime | None
) -> None:
    found = split_span(since, until)
    for piece in found:
        taken = piece.ends_at - piece.starts_at
        if piece.minutes == 0:
            assert taken <= MINUTE / 2 or (len(found) == 1 and taken < MINUTE), "no end of a minute is nearer"
            continue
        length = timedelta(minutes=piece.minutes)
        assert (piece.starts_at - EPOCH) % length == (piece.ends_at - EPOCH) % length == timedelta(0)
        longer = [one for one in MINUTES if one > piece.minutes]
        if longer:
            within = longer[-1] // 2 if any(one.minutes in longer for one in found) else longer[-1]
            assert taken / MINUTE <= within


@given(since=_TIMES, until=_TIMES)
def test_what_is_not_yet_compacted_is_asked_for_where_whole_spans_are(
    since: datetime, until: datetime
) -> None:
    values = build_span_values(since, until)
    assert (values is None) == (since > until)
    if values is not None:
        whole = sum(
            (p.sign * (p.ends_at - p.starts_at) for p in split_span(since, until) if p.minutes), timedelta(0)
        )
        assert values["whole_end"] - values["whole"] == whole
        assert (values["first"], values["end"]) == (since, until + TICK)


def test_bounds_are_moments_whatever_zone_they_are_written_in() -> None:
    there = datetime.fromisoformat("2026-03-01T14:00:00.5+02:00")
    assert split_span(there, there + DAY) == split_span(
        NOON + timedelta(seconds=0.5), NOON + timedelta(days=1, seconds=0.5)
    )


# --- against the rows ------------------------------------------------------------------------------------------------


def by_rows(
    c: sa.Connection, workspace: UUID, since: datetime | None, until: datetime | None
) -> dict[str, int]:
    return {r.word: r.n for r in rows(c, _BY_ROWS, w=workspace, since=since, until=until)}


def take(c: sa.Connection, workspace: UUID, step: Step) -> None:
    match step:
        case "store", times, status, due:
            c.exec_driver_sql(_STORE, {"w": workspace, "times": times, "status": status, "due": due})
        case "change", sql, n:
            c.exec_driver_sql(sql, {"w": workspace, "n": n})
        case _:
            compaction.compact(c)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=_STEPS, spans=st.lists(st.tuples(_BOUNDS, _BOUNDS), min_size=4, max_size=12))
def test_a_span_has_what_counting_its_rows_gives(
    shared: Ledger, steps: list[Step], spans: list[tuple[datetime | None, datetime | None]]
) -> None:
    workspace, spans = shared.workspace(), [(None, None), *spans]
    with shared.database.begin() as c:
        for step in steps:
            take(c, workspace, step)
            known = [count_by_status(c, workspace, *span).by_status for span in spans]
            assert known == [by_rows(c, workspace, *span) for span in spans]
        compaction.compact(c)
        spans_known, spans_there = (
            {tuple(r) for r in rows(c, f"SELECT * FROM ({sql}) x WHERE workspace_id = :w", w=workspace)}
            for sql in (_SPANS, _SPANS_BY_ROWS)
        )
        assert spans_known == spans_there, "no span too many, none missing, and none of zero"


def test_a_reader_sees_one_moment_while_others_store_and_compact(shared: Ledger) -> None:
    workspace = shared.workspace()
    done = threading.Event()
    minute = NOON + 15 * timedelta(seconds=1)

    def store() -> None:
        for _ in range(20):
            shared.do(take, workspace, ("store", [minute, minute + MINUTE], "scheduled", DAY))
            shared.do(take, workspace, ("change", f"UPDATE posts SET status = 'posted' {_SOME}", 3))

    def compact() -> None:
        while not done.is_set():
            shared.do(compaction.compact)

    def read() -> None:
        seen = 0
        while not done.is_set():
            known = shared.do(count_by_status, workspace, NOON, minute + 2 * MINUTE).by_status
            total = sum(known.values())
            assert total % 2 == 0, "two are stored at once"
            assert total >= seen, "posts are only added"
            seen = total

    def stored() -> None:
        together(store, store)
        done.set()

    together(stored, compact, compact, read)
    assert sum(shared.do(count_by_status, workspace, NOON, minute + MINUTE).by_status.values()) == 80
