"""Totals of who is bound to accounts are what looking at every post gives, whatever was done and whoever folds."""
# ruff: noqa: S608  statements of this file are put together from its own parts; values are always bound

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.store.database import Database, row, rows
from pipeline.store.rollups import compact as folding
from pipeline.store.rollups.account_sets import MINUTES
from pipeline.store.rollups.count import count_by_status
from pipeline.store.rollups.time_buckets import pieces
from tests.pipeline.store.ledger import HOUR, Ledger, together
from tests.pipeline.store.upgraded_database import Upgraded

Step = tuple[Any, ...]
"""Something done to posts: its name, and what with (``take``)."""
TICK, DAY = timedelta(microseconds=1), timedelta(days=1)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
STATUSES = ("scheduled", "pending", "posted", "failed")

_BY_ROWS = """
SELECT CASE WHEN status = 'scheduled' AND due_at <= now() THEN 'pending' ELSE status END AS word, count(*) AS n
FROM posts WHERE workspace_id = :w AND deleted_at IS NULL
AND created_at >= coalesce(:since, CAST('-infinity' AS timestamptz))
AND created_at <= coalesce(:until, CAST('infinity' AS timestamptz))
AND (SELECT array_agg(account_id) FROM deliveries WHERE post_id = posts.id) <@ CAST(:accounts AS uuid[])
GROUP BY 1"""
_SPANS_BY_ROWS = """
SELECT workspace_id, accounts, m AS minutes, date_bin(make_interval(mins => m), created_at, timestamptz 'epoch') AS at,
       status, count(*) AS n
FROM posts p JOIN (SELECT post_id, array_agg(account_id ORDER BY account_id) AS accounts FROM deliveries
                   GROUP BY post_id) d ON d.post_id = p.id, unnest(ARRAY[10, 60, 360, 1440, 7200, 43200, 51840000]) AS m
WHERE deleted_at IS NULL GROUP BY 1, 2, 3, 4, 5"""
_SPANS = """SELECT workspace_id, accounts, minutes, starts_at AS at, status, n
            FROM account_set_spans s JOIN account_sets a ON a.id = s.set_id"""
_STORE = """
WITH made AS (
    INSERT INTO posts (id, workspace_id, caption, media, due_at, status, created_at)
    SELECT gen_random_uuid(), %(w)s, 'x', '{}', now() + %(due)s, %(status)s, at
    FROM unnest(%(times)s::timestamptz[]) AS at RETURNING *)
INSERT INTO deliveries (id, post_id, workspace_id, account_id, platform, state, due_at, next_at, created_at)
SELECT gen_random_uuid(), made.id, workspace_id, a, 'tiktok', 'failed', due_at, due_at, created_at
FROM made, unnest(%(accounts)s::uuid[]) AS a"""
_ADD = """
INSERT INTO deliveries (id, post_id, workspace_id, account_id, platform, state, due_at, next_at)
SELECT gen_random_uuid(), id, workspace_id, a, 'tiktok', 'failed', due_at, due_at
FROM (SELECT * FROM posts WHERE workspace_id = %(w)s ORDER BY id LIMIT %(n)s) p, unnest(%(accounts)s::uuid[]) AS a
WHERE NOT EXISTS (SELECT FROM deliveries WHERE post_id = p.id AND account_id = a)"""
_SOME = "WHERE id IN (SELECT id FROM posts WHERE workspace_id = %(w)s ORDER BY id LIMIT %(n)s)"
_CHANGES = (
    f"UPDATE posts SET deleted_at = now() {_SOME}",
    f"UPDATE posts SET deleted_at = NULL {_SOME}",
    f"""WITH p AS (UPDATE posts SET created_at = created_at + interval '61 minutes' {_SOME} RETURNING id)
        UPDATE deliveries SET created_at = created_at + interval '61 minutes' WHERE post_id IN (SELECT id FROM p)""",
    f"UPDATE posts SET due_at = now() {_SOME}",
    *(f"UPDATE posts SET status = '{status}' {_SOME}" for status in STATUSES),
)

_TIMES = st.one_of(
    st.sampled_from([timedelta(0), TICK, -TICK, HOUR - TICK, HOUR, DAY, -DAY, 30 * DAY]),
    st.timedeltas(timedelta(hours=-30), timedelta(hours=30)),
    st.timedeltas(timedelta(days=-70), timedelta(days=70)),
).map(lambda offset: NOON + offset)
_BOUNDS = st.one_of(st.none(), _TIMES)
_WHICH = st.sets(st.integers(0, 3), min_size=1)
_STORED = st.tuples(
    st.just("store"),
    st.lists(_TIMES, min_size=1, max_size=5),
    _WHICH,
    st.sampled_from(STATUSES),
    st.sampled_from([-DAY, DAY]),
)
_CHANGED = st.tuples(st.just("change"), st.sampled_from(_CHANGES), st.integers(1, 5))
_ADDED = st.tuples(st.just("add"), _WHICH, st.integers(1, 5))
_STEPS = st.lists(st.one_of(_STORED, _STORED, _CHANGED, _ADDED, st.just(("fold",))), min_size=1, max_size=10)


@pytest.fixture(scope="module")
def accounts(shared: Ledger) -> list[UUID]:
    workspace = shared.workspace()
    return [shared.account(workspace) for _ in range(4)]


def take(c: sa.Connection, workspace: UUID, accounts: Sequence[UUID], step: Step) -> None:
    values: dict[str, Any] = {"w": workspace}
    match step:
        case "store", times, which, status, due:
            values |= {"times": times, "accounts": [accounts[n] for n in which], "status": status, "due": due}
            c.exec_driver_sql(_STORE, values)
        case "add", which, n:
            c.exec_driver_sql(_ADD, values | {"accounts": [accounts[n] for n in which], "n": n})
        case "change", sql, n:
            c.exec_driver_sql(sql, values | {"n": n})
        case _:
            folding.fold(c)


def by_rows(
    c: sa.Connection, workspace: UUID, since: datetime | None, until: datetime | None, mine: Sequence[UUID]
) -> dict[str, int]:
    found = rows(c, _BY_ROWS, w=workspace, since=since, until=until, accounts=list(mine))
    return {r.word: r.n for r in found}


def spans(c: sa.Connection, sql: str, workspace: UUID) -> set[tuple[Any, ...]]:
    found = rows(c, f"SELECT * FROM ({sql}) x WHERE workspace_id = :w", w=workspace)
    return {(tuple(r.accounts), r.minutes, r.at, r.status, int(r.n)) for r in found}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=_STEPS, asked=st.lists(st.tuples(_BOUNDS, _BOUNDS, _WHICH), min_size=3, max_size=8))
def test_totals_are_those_of_every_post(
    shared: Ledger,
    accounts: list[UUID],
    steps: list[Step],
    asked: list[tuple[datetime | None, datetime | None, set[int]]],
) -> None:
    workspace = shared.workspace()
    questions = [(since, until, [accounts[n] for n in which]) for since, until, which in asked]
    with shared.database.begin() as c:
        for step in steps:
            take(c, workspace, accounts, step)
            known = [count_by_status(c, workspace, *question) for question in questions]
            assert known == [by_rows(c, workspace, *question) for question in questions]
        folding.fold(c)
        assert spans(c, _SPANS, workspace) == spans(c, _SPANS_BY_ROWS, workspace)


def test_all_time_is_one_span_of_the_longest() -> None:
    assert [piece.minutes for piece in pieces(None, None, MINUTES)] == [MINUTES[0]]


def test_the_order_in_which_accounts_were_named_does_not_matter(shared: Ledger) -> None:
    workspace = shared.workspace()
    a, b = shared.account(workspace), shared.account(workspace)
    shared.post([a, b], due=HOUR)
    shared.post([b, a], due=HOUR)
    with shared.database.begin() as c:
        folding.fold(c)
        assert len(rows(c, "SELECT id FROM account_sets WHERE workspace_id = :w", w=workspace)) == 1
        assert count_by_status(c, workspace, accounts=[a, b]) == {"scheduled": 2}
        assert count_by_status(c, workspace, accounts=[a]) == {}
        assert count_by_status(c, shared.workspace(), accounts=[a, b]) == {}, "another workspace's"


def test_an_edit_that_adds_accounts_while_the_post_moves_on_is_counted_once(shared: Ledger) -> None:
    """Who edits holds the post, as ``steering.read`` does; who settles waits for it, or is waited for."""
    workspace = shared.workspace()
    first, *more = [shared.account(workspace) for _ in range(9)]
    made = [shared.post([first], due=HOUR).id for _ in range(4)]
    done = threading.Event()

    def add() -> None:
        for account in more:
            for post in made:
                with shared.database.begin() as c:
                    row(c, "SELECT id FROM posts WHERE id = :id FOR UPDATE", id=post)
                    row(
                        c,
                        """INSERT INTO deliveries (id, post_id, workspace_id, account_id, platform, state, due_at,
                                                   next_at)
                           SELECT gen_random_uuid(), id, workspace_id, :a, 'tiktok', 'failed', due_at, due_at
                           FROM posts WHERE id = :id RETURNING id""",
                        id=post,
                        a=account,
                    )

    def move() -> None:
        n = 0
        while not done.is_set():
            n += 1
            with shared.database.begin() as c:
                row(
                    c,
                    "UPDATE posts SET status = :s WHERE id = :id RETURNING id",
                    id=made[n % 4],
                    s=STATUSES[n % 3],
                )

    def fold() -> None:
        while not done.is_set():
            with shared.database.begin() as c:
                folding.fold(c)

    def added() -> None:
        add()
        done.set()

    together(added, move, move, fold)
    with shared.database.begin() as c:
        for known in ([first], [first, *more[:4]], [first, *more]):
            assert count_by_status(c, workspace, accounts=known) == by_rows(c, workspace, None, None, known)
        folding.fold(c)
        assert spans(c, _SPANS, workspace) == spans(c, _SPANS_BY_ROWS, workspace)


def test_posts_that_were_there_before_are_counted_once_whoever_wrote_when(empty_database_url: str) -> None:
    upgraded = Upgraded(empty_database_url, "0013")
    accounts = [UUID(int=n + 1) for n in range(4)]

    def steps(*taken: Step) -> None:
        with upgraded.engine.begin() as c:
            for step in taken:
                take(c, upgraded.workspace, accounts, step)

    with upgraded.engine.begin() as c:
        c.exec_driver_sql(
            """INSERT INTO accounts (id, workspace_id, platform, connection, remote_id, username, display_name,
                                     credentials)
               SELECT a, %(w)s, 'tiktok', 'creator', a::text, 'x', 'x', '' FROM unnest(%(a)s::uuid[]) AS a""",
            {"w": upgraded.workspace, "a": accounts},
        )
    times = [NOON + n * timedelta(minutes=40) for n in range(6)]
    new: list[Step] = [("store", times, which, "scheduled", DAY) for which in ({0}, {1, 0}, {0, 1, 2, 3})]
    some: list[Step] = [("change", sql, 2 + n) for n, sql in enumerate(_CHANGES)]
    some.insert(4, ("add", {1, 3}, 3))
    steps(*new, *some)
    upgraded.to("0014")
    steps(*some, *new)  # appended, not folded
    with upgraded.engine.connect() as writer:  # who is in the middle of it while the rows are counted
        for step in (*new, *some):
            take(writer, upgraded.workspace, accounts, step)
        upgraded.to("0015")
        writer.commit()
    upgraded.to("head")
    upgraded.engine.dispose()
    database = Database(empty_database_url)
    for more in ([], [("fold",)], new, some, [("fold",)]):
        with database.begin() as c:
            for step in more:
                take(c, upgraded.workspace, accounts, step)
            for mine in (accounts[:1], accounts[:2], accounts):
                for since, until in ((None, None), (times[1], times[-2]), (NOON - DAY, NOON + DAY)):
                    assert count_by_status(c, upgraded.workspace, since, until, mine) == by_rows(
                        c, upgraded.workspace, since, until, mine
                    )
    with database.begin() as c:
        assert row(c, "SELECT FROM account_set_deltas") is None
        assert spans(c, _SPANS, upgraded.workspace) == spans(c, _SPANS_BY_ROWS, upgraded.workspace)
    database.close()
