"""Concurrent receipt jobs, moves that commit out of order, crashes: one receipt per final move, in one chain."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection

from pipeline.domain.delivery import State
from pipeline.maintenance.read_moves import append_receipts
from pipeline.store import receipts
from pipeline.store.database import row
from tests.crash_table import Crashes
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.maintenance.receipted import (
    add_move,
    add_published_posts,
    published_verdict,
    read_progress,
    read_receipts,
    settle,
)
from tests.pipeline.store.ledger import together
from tests.stack import until

# --- several at once, and what commits late --------------------------------------------------------------------------


def test_four_chores_at_once_write_what_one_would(core: CoreFixture) -> None:
    other = core.ledger.fresh(State.PUBLISHED)
    posts = add_published_posts(core, 120)
    with core.context.database.begin() as c:
        for _ in range(30):
            add_move(c, other.deliveries[0])
    write = partial(append_receipts, core.context, batch=15, batches=100)
    assert sum(together(*[write] * 4)) == 150
    assert sorted(r["post"] for r in read_receipts(core)) == sorted(str(p.id) for p in posts)
    assert len(read_receipts(core, other.workspace)) == 30


def test_who_comes_while_another_writes_has_nothing_to_do(core: CoreFixture) -> None:
    add_published_posts(core, 3)
    with core.context.database.begin() as c:
        assert receipts.add_receipts(c, 10) == 3
        assert append_receipts(core.context) == 0
        c.rollback()
    assert append_receipts(core.context) == 3
    assert len(read_receipts(core)) == 3


def test_a_move_that_commits_after_later_ones_is_not_passed_over(core: CoreFixture) -> None:
    held = core.ledger.armed(core.ledger.post([core.accounts["one"]]))
    with core.context.database.begin() as c:
        settle(c, core, held, published_verdict("slow"))  # its id is given; who comes later commits earlier
        for _ in range(3):
            add_published_posts(core)
            assert append_receipts(core.context) == 1, "nobody waits for it"
    assert append_receipts(core.context) == 1
    assert read_receipts(core)[-1]["remote_id"] == "slow"
    assert read_progress(core).done == read_progress(core).last


def test_one_whose_id_is_given_long_before_its_row_is_there_is_not_passed_over(core: CoreFixture) -> None:
    """A writer stopped between the two has only its lock, no transaction id yet."""
    post = core.ledger.post([core.accounts["one"]], State.PUBLISHED)
    with core.context.database.begin() as c:
        c.exec_driver_sql("LOCK TABLE moves IN ROW EXCLUSIVE MODE")
        given = row(c, "SELECT nextval(pg_get_serial_sequence('moves', 'id')) AS id")
        assert given
        for _ in range(3):
            add_published_posts(core)
            assert append_receipts(core.context) == 1
        row(
            c,
            """INSERT INTO moves (id, delivery_id, mover, origin, target, generation, fence) OVERRIDING SYSTEM VALUE
               VALUES (:id, :d, 'publish', 'publishing', 'published', 0, 1) RETURNING id""",
            id=given.id,
            d=post.deliveries[0],
        )
    assert append_receipts(core.context) == 1
    assert read_receipts(core)[-1]["post"] == str(post.id)


def test_where_somebody_always_writes_the_search_goes_on_all_the_same(core: CoreFixture) -> None:
    """Each writer ends after the next one has begun."""
    writer, done = writing(core), []
    for _ in range(4):
        add_published_posts(core)
        append_receipts(core.context)
        done.append(read_progress(core).done)
        last, writer = writer, writing(core)
        last.close()
    writer.close()
    assert done == sorted(set(done)), "further at every tick"
    assert len(read_receipts(core)) == 4


def writing(core: CoreFixture) -> Connection:
    c = core.context.database.engine.connect()
    c.exec_driver_sql("LOCK TABLE moves IN ROW EXCLUSIVE MODE")
    return c


# --- deaths ----------------------------------------------------------------------------------------------------------

JOB = """
from config.settings import settings
from pipeline.wiring import build_context
from pipeline.maintenance import JOBS
JOBS["receipts"](build_context(settings()))
"""


@pytest.mark.parametrize(("point", "written"), [("receipts.added", 0), ("receipts.committed", 3)])
def test_a_chore_that_dies_leaves_a_whole_chain_and_the_next_one_goes_on(
    core: CoreFixture, environment: dict[str, str], crashes: Crashes, point: str, written: int
) -> None:
    posts = add_published_posts(core, 3)
    ended = subprocess.run(
        [sys.executable, "-c", JOB],
        capture_output=True,
        check=False,
        timeout=60,
        env={**environment, **crashes.arm(point)},
    )
    assert ended.returncode == -signal.SIGKILL, ended
    assert len(read_receipts(core)) == written
    posts += add_published_posts(core)
    # its session holds the lock until the server notices
    until(lambda: append_receipts(core.context) or None, 20)
    assert [r["post"] for r in read_receipts(core)] == [str(p.id) for p in posts]


# --- what it costs ---------------------------------------------------------------------------------------------------

FILLED = (
    """INSERT INTO posts (id, workspace_id, caption, media, due_at, status)
       SELECT md5(n::text)::uuid, (SELECT id FROM workspaces LIMIT 1), 'x', '{}', now(), 'posted'
       FROM generate_series(1, 20000) n""",
    """INSERT INTO deliveries (id, post_id, workspace_id, account_id, platform, state, due_at, next_at, published_at)
       SELECT p.id, p.id, p.workspace_id, (SELECT id FROM accounts LIMIT 1), 'tiktok', 'published', now(), now(), now()
       FROM posts p""",
    """INSERT INTO attempts (delivery_id, account_id, n, generation, fence)
       SELECT id, account_id, 1, 0, 1 FROM deliveries""",
    """INSERT INTO moves (delivery_id, mover, origin, target, generation, fence)
       SELECT d.id, 'publish', x.origin, x.target, 0, 1 FROM deliveries d,
           (VALUES ('scheduled', 'queued'), ('queued', 'publishing'), ('publishing', 'published')) AS x (origin, target)
       ORDER BY d.id""",
    """INSERT INTO rewrites (post_id, content_sha256, due_at) SELECT id, 'x', due_at FROM posts""",
    """INSERT INTO receipts (workspace_id, sequence, move_id, issued_at, line)
       SELECT gen_random_uuid(), 1, id, now(), 'x' FROM moves WHERE target = 'published' AND id < 59000""",
    """UPDATE move_progress SET done = 58000 WHERE reader = 'receipts'""",
)


def test_the_search_reads_no_table_from_end_to_end(core: CoreFixture) -> None:
    with core.context.database.begin() as c:
        for sql in FILLED:
            c.exec_driver_sql(sql)
    searches = [
        f"(GENERIC_PLAN, FORMAT JSON) {receipts._MOVES_WITHOUT_RECEIPT.replace(':done', '$1').replace(':n', '$2')}",
        f"(FORMAT JSON) {receipts._MOVES_WITHOUT_RECEIPT.replace(':done', '58000').replace(':n', '500')}",
    ]
    for _ in ("never counted", "counted"):
        with core.context.database.once() as c:
            driver: Any = c.connection.driver_connection
            for search in searches:
                reads_little(driver.execute(f"EXPLAIN {search}").fetchone()[0][0]["Plan"])
            c.exec_driver_sql("ANALYZE")


def reads_little(plan: Mapping[str, Any]) -> None:
    nodes = list(nodes_of(plan))
    whole = {n["Relation Name"] for n in nodes if n["Node Type"] == "Seq Scan"} - {"accounts"}
    assert not whole, plan
    assert "moves_last_word" in {n.get("Index Name") for n in nodes}
    assert not {n["Node Type"] for n in nodes} & {"Hash Join", "Merge Join", "Hash"}, plan


def nodes_of(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes_of(child)
