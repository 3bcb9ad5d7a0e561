"""Open pages read every move once it is visible, in whatever order moves commit, and few blocks of the table."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.store.moves import read
from pipeline.store.moves.read import Reading, Watermark, read_live
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.maintenance.counted import export_all
from tests.pipeline.maintenance.receipted import add_published_posts, published_verdict, settle
from tests.pipeline.maintenance.test_receipts_at_once import FILLED, nodes_of


def poll(core: CoreFixture, before: Watermark | None = None) -> Reading:
    with core.context.database.begin_read(10) as c:
        return read_live(c, before, [])


def list_ids(reading: Reading) -> set[int]:
    return {move.id for move in reading.moves}


def test_a_move_is_read_as_soon_as_it_is_visible_with_its_workspace_and_post(core: CoreFixture) -> None:
    export_all(core)
    start = poll(core)
    assert (start.moves, start.is_cut) == ([], False)
    [post] = [core.ledger.post([core.accounts["one"]])]
    found = poll(core, start.watermark)
    assert {(m.origin, m.target, m.workspace_id, m.post_id) for m in found.moves} == {
        (None, "scheduled", core.workspace, post.id)
    }
    assert found.last >= max(list_ids(found))
    again = poll(core, found.watermark)
    assert again.moves == []


def test_a_move_that_commits_after_later_ones_is_read_too_and_holds_none_up(core: CoreFixture) -> None:
    held = core.ledger.armed(core.ledger.post([core.accounts["one"]]))
    export_all(core)
    start = poll(core)
    with core.context.database.begin() as c:
        settle(c, core, held, published_verdict("slow"))  # its id is given; later ones commit earlier
        add_published_posts(core, 2)
        early = poll(core, start.watermark)
        assert early.moves, "what is visible is read at once"
        assert early.watermark.proven < min(list_ids(early)), "and read again until its id is proven"
    late = poll(core, early.watermark)
    assert list_ids(late) > list_ids(early)
    assert held.post_id in {move.post_id for move in late.moves if move.id not in list_ids(early)}
    last = poll(core, late.watermark)
    assert last.watermark.proven >= max(list_ids(late))
    assert poll(core, last.watermark).moves == []


def test_of_more_than_the_limit_a_page_hears_only_that_there_are_some(
    core: CoreFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_all(core)
    start = poll(core)
    monkeypatch.setattr(read, "LIMIT", 2)
    core.ledger.posts(3, [core.accounts["one"]])
    found = poll(core, start.watermark)
    assert (len(found.moves), found.is_cut) == (2, True)


def test_a_poll_reads_no_table_from_end_to_end(core: CoreFixture) -> None:
    with core.context.database.begin() as c:
        for sql in FILLED:
            c.exec_driver_sql(sql)
    search = read._LIVE_MOVES.replace(":proven", "58500").replace(":n", "2001")
    for _ in ("never counted", "counted"):
        with core.context.database.begin() as c:
            c.exec_driver_sql("SET LOCAL enable_seqscan = off")  # as `read_live` does
            driver: Any = c.connection.driver_connection
            plan = driver.execute(f"EXPLAIN (FORMAT JSON) {search}").fetchone()[0][0]["Plan"]
        nodes = list(nodes_of(plan))
        assert "moves_by_id" in {n.get("Index Name") for n in nodes}
        assert not {n["Node Type"] for n in nodes} & {"Seq Scan", "Hash Join", "Merge Join"}, plan
        with core.context.database.once() as c:
            c.exec_driver_sql("ANALYZE")
