"""Concurrent exports, moves that commit out of order, crashes: each move is counted once."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from pipeline.maintenance.read_moves import export_moves
from pipeline.store.moves import read as moves
from tests.crash_table import Crashes
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.maintenance.counted import counting, export_all, is_done, read_all
from tests.pipeline.maintenance.receipted import add_move, add_published_posts, published_verdict, settle
from tests.pipeline.maintenance.test_receipts_at_once import FILLED, nodes_of, writing
from tests.pipeline.store.ledger import together
from tests.stack import until

PUBLISHED = ("deliveries_settled", "", "published", "tiktok")


def test_four_exports_at_once_count_what_one_would(core: CoreFixture) -> None:
    export_all(core)
    before = read_all(core).get(PUBLISHED, 0)
    add_published_posts(core, 120)
    export = partial(export_moves, core.context, batch=15, most=1500)
    exported = sum(together(*[export] * 4))
    exported += until(lambda: export() or is_done(core), 20) - 1 if not is_done(core) else 0
    assert read_all(core)[PUBLISHED] == before + 120


def test_a_move_that_commits_after_later_ones_is_counted_and_holds_nobody_up(core: CoreFixture) -> None:
    held = core.ledger.armed(core.ledger.post([core.accounts["one"]]))
    export_all(core)
    before = read_all(core).get(PUBLISHED, 0)
    with core.context.database.begin() as c:
        settle(c, core, held, published_verdict("slow"))  # its id is given; later ones commit earlier
        add_published_posts(core, 3)
        export_moves(core.context)
        assert read_all(core).get(PUBLISHED, 0) == before, "what is not proven waits"
        assert not is_done(core)
    export_all(core)
    assert read_all(core)[PUBLISHED] == before + 4


def test_where_somebody_always_writes_the_export_goes_on_all_the_same(core: CoreFixture) -> None:
    """Each writer ends after the next one has begun."""
    export_all(core)
    writer, done = writing(core), []
    for _ in range(4):
        add_published_posts(core)
        export_moves(core.context)
        done.append(read_all(core).get(PUBLISHED, 0))
        last, writer = writer, writing(core)
        last.close()
    writer.close()
    assert done == sorted(done)
    assert done[-1] > done[0], "further at every second tick"


@pytest.mark.parametrize("point", ["export.consumed", "export.positioned", "export.committed"])
def test_an_export_that_dies_anywhere_loses_no_move_and_counts_none_twice(
    core: CoreFixture, environment: dict[str, str], crashes: Crashes, point: str
) -> None:
    with counting(core) as changed:
        other = add_published_posts(core, 3)[0]
        with core.context.database.begin() as c:
            add_move(c, other.deliveries[0])
        crashes.crash(environment, point, "run_job", "export")
        # its session holds the lock until the server notices
        until(lambda: export_moves(core.context) or is_done(core) or None, 20)
        add_published_posts(core)
    assert changed[PUBLISHED] == 5
    assert changed["deliveries", "tiktok", "", "published"] == 5


def test_a_crash_between_two_batches_goes_on_with_the_second(core: CoreFixture) -> None:
    with counting(core) as changed:
        add_published_posts(core, 30)
        assert export_moves(core.context, batch=7, most=7) <= 7
    assert changed[PUBLISHED] == 30


def test_the_search_reads_no_table_from_end_to_end(core: CoreFixture) -> None:
    with core.context.database.begin() as c:
        for sql in FILLED:
            c.exec_driver_sql(sql)
    values = {":done": "58000", ":until": "58500"}
    sql = moves._MOVES
    values[":intended"] = "ARRAY['held: rate']"
    for name, value in values.items():
        sql = sql.replace(name, value)
    for _ in ("never counted", "counted"):
        with core.context.database.begin() as c:
            c.exec_driver_sql("SET LOCAL enable_seqscan = off")  # as `read_batch` does
            driver: Any = c.connection.driver_connection
            plan = driver.execute(f"EXPLAIN (FORMAT JSON) {sql}").fetchone()[0][0]["Plan"]
        nodes = list(nodes_of(plan))
        assert "moves_by_id" in {n.get("Index Name") for n in nodes}
        whole = {n["Relation Name"] for n in nodes if n["Node Type"] == "Seq Scan"} - {"seen_pauses"}
        assert not whole, plan
        assert not {n["Node Type"] for n in nodes} & {"Hash Join", "Merge Join", "Hash"}, plan
        with core.context.database.once() as c:
            c.exec_driver_sql("ANALYZE")
