"""Totals of posts equal a count of the rows after every change, before, during and after compaction."""

from __future__ import annotations

import threading

from pipeline.domain.delivery import State
from pipeline.maintenance.read_moves import compact_rollups
from pipeline.store.database import Database, rows
from pipeline.store.rollups import settled_counts as compaction
from pipeline.store.rollups import time_buckets as counts
from tests.pipeline.store.ledger import HOUR, Ledger, together

_BY_ROWS = """SELECT workspace_id, status, count(*) AS n FROM posts WHERE deleted_at IS NULL GROUP BY 1, 2"""
_KNOWN = """SELECT workspace_id, status, sum(n) AS n
            FROM (SELECT * FROM post_counts UNION ALL SELECT workspace_id, status, n FROM post_deltas) x
            GROUP BY 1, 2 HAVING sum(n) <> 0"""


def agrees(database: Database) -> bool:
    """Return whether the totals of all workspaces equal the rows, in one snapshot."""
    with database.begin() as c:
        c.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        there, known = (
            {(r.workspace_id, r.status, int(r.n)) for r in rows(c, sql)} for sql in (_BY_ROWS, _KNOWN)
        )
    return there == known


def compact(database: Database) -> int:
    with database.begin() as c:
        return compaction.compact(c)


def change(ledger: Ledger, sql: str, post: object) -> None:
    with ledger.database.begin() as c:
        c.exec_driver_sql(sql, {"id": post})


def test_a_group_of_posts_is_one_row(shared: Ledger) -> None:
    compact(shared.database)
    workspace = shared.workspace()
    with shared.database.begin() as c:
        c.exec_driver_sql(
            """INSERT INTO posts (id, workspace_id, caption, media, due_at, status)
               SELECT gen_random_uuid(), %(w)s, 'x', '{}', now(), 'posted' FROM generate_series(1, 50)""",
            {"w": workspace},
        )
    assert compact(shared.database) == 1
    assert shared.do(counts.count_all, workspace) == {"posted": 50}


def test_nothing_that_was_not_committed_is_counted(shared: Ledger) -> None:
    workspace = shared.workspace()
    shared.post([shared.account(workspace)], State.PUBLISHED)
    with shared.database.begin() as c:
        c.exec_driver_sql("UPDATE posts SET status = 'failed' WHERE workspace_id = %(w)s", {"w": workspace})
        compact(shared.database)
        c.rollback()
    compact(shared.database)
    assert shared.do(counts.count_all, workspace) == {"posted": 1}


def test_posting_moving_and_compacting_at_once_lose_nothing(shared: Ledger) -> None:
    workspace = shared.workspace()
    account = shared.account(workspace)
    done = threading.Event()

    def post() -> None:
        for _ in range(25):
            made = shared.post([account], due=HOUR)
            change(shared, "UPDATE posts SET status = 'posted' WHERE id = %(id)s", made.id)

    def compacting() -> None:
        while not done.is_set():
            compact(shared.database)

    threads = [threading.Thread(target=compacting) for _ in range(2)]
    for thread in threads:
        thread.start()
    together(*[post] * 4)
    done.set()
    for thread in threads:
        thread.join()
    assert shared.do(counts.count_all, workspace) == {"posted": 100}
    assert agrees(shared.database)


def test_of_two_compactions_at_once_one_has_nothing_to_do(shared: Ledger) -> None:
    shared.fresh()
    with shared.database.begin() as c:
        assert compaction.compact(c) > 0
        assert compact(shared.database) == 0
    assert compact(shared.database) == 0


def test_the_job_compacts(shared: Ledger) -> None:
    from dataclasses import dataclass

    @dataclass
    class Context:
        database: Database

    shared.fresh()
    assert compact_rollups(Context(shared.database)) > 0  # type: ignore[arg-type]
    assert compact_rollups(Context(shared.database)) == 0  # type: ignore[arg-type]
