"""Readers of moves: the export, the receipts, pages that are open. Each has every move once, and reads few blocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pytest
from sqlalchemy import Connection

from pipeline.domain.delivery import State
from pipeline.maintenance.read_moves import append_receipts, export_moves, index_texts
from pipeline.runtime.context import Context
from pipeline.store import moves, receipts
from pipeline.store.database import read_number, row
from pipeline.store.moves import Reader, Reading, Watermark, lock_position, read_live
from tests.crash_table import Crashes, get_points
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.maintenance.counted import counting, export_all, is_done, read_all
from tests.pipeline.maintenance.receipted import (
    FILLED,
    add_move,
    add_published_posts,
    nodes_of,
    published_verdict,
    read_progress,
    read_receipts,
    settle,
)
from tests.pipeline.store.ledger import together
from tests.stack import until

PUBLISHED = ("deliveries_settled", "", "published", "tiktok")


class Case(NamedTuple):
    """A reader that stores its position. ``find_number``: how many final moves, or new posts, it has read."""

    name: Reader
    run: Callable[[Context], int]
    run_in_batches: Callable[[Context], int]
    find_number: Callable[[CoreFixture], float]

    def drain(self, core: CoreFixture) -> None:
        """Run until nothing is left: the session of a killed process holds its lock until the server notices."""
        until(lambda: (self.run(core.context), is_done(core, self.name))[1], 20)


def count_texts(core: CoreFixture) -> int:
    with core.context.database.begin() as c:
        return read_number(c, "SELECT count(*) FROM post_texts")


EXPORT = Case(
    "export",
    export_moves,
    lambda context: export_moves(context, batch=15, most=1500),
    lambda core: read_all(core).get(PUBLISHED, 0),
)
RECEIPTS = Case(
    "receipts",
    append_receipts,
    lambda context: append_receipts(context, batch=15, batches=100),
    lambda core: len(read_receipts(core)),  # which verifies the chain
)
TEXTS = Case(
    "texts",
    index_texts,
    lambda context: index_texts(context, span=15, most=1500),
    count_texts,
)
READERS = pytest.mark.parametrize("case", [EXPORT, RECEIPTS, TEXTS], ids=lambda case: case.name)


# --- several at once, and what commits late --------------------------------------------------------------------------


@READERS
def test_four_at_once_read_what_one_would(core: CoreFixture, case: Case) -> None:
    add_published_posts(core, 120)
    together(*[lambda: case.run_in_batches(core.context)] * 4)
    case.drain(core)
    assert case.find_number(core) == 120


@READERS
def test_while_another_reads_there_is_nothing_to_do(core: CoreFixture, case: Case) -> None:
    add_published_posts(core, 3)
    with core.context.database.begin() as c:
        assert lock_position(c, case.name)
        assert case.run(core.context) == 0
    assert case.run(core.context) >= 3
    assert case.find_number(core) == 3


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


def test_a_move_that_commits_after_later_ones_has_its_receipt(core: CoreFixture) -> None:
    held = core.ledger.armed(core.ledger.post([core.accounts["one"]]))
    with core.context.database.begin() as c:
        settle(c, core, held, published_verdict("slow"))  # its id is given; later ones commit earlier
        for _ in range(3):
            add_published_posts(core)
            assert append_receipts(core.context) == 1, "what is visible is not waited for"
    assert append_receipts(core.context) == 1
    assert read_receipts(core)[-1]["remote_id"] == "slow"
    assert read_progress(core).done == read_progress(core).last


def test_one_whose_id_is_given_long_before_its_row_is_there_is_not_passed_over(core: CoreFixture) -> None:
    """A writer stopped between the two has only its lock, no transaction id yet."""
    post = core.ledger.post([core.accounts["one"]], State.PUBLISHED)
    with writing(core) as c:
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
        c.commit()
    assert append_receipts(core.context) == 1
    assert read_receipts(core)[-1]["post"] == str(post.id)


@READERS
def test_where_one_always_writes_the_reader_goes_on_all_the_same(core: CoreFixture, case: Case) -> None:
    """Each writer ends after the next one has begun."""
    writer, done = writing(core), []
    for _ in range(4):
        add_published_posts(core)
        case.run(core.context)
        done.append(read_progress(core, case.name).done)
        last, writer = writer, writing(core)
        last.close()
    writer.close()
    assert done == sorted(set(done)), "further at every tick"


def writing(core: CoreFixture) -> Connection:
    c = core.context.database.engine.connect()
    c.exec_driver_sql("LOCK TABLE moves IN ROW EXCLUSIVE MODE")
    return c


# --- crashes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "point", get_points("test_a_reader_that_dies_anywhere_loses_no_move_and_reads_none_twice")
)
def test_a_reader_that_dies_anywhere_loses_no_move_and_reads_none_twice(
    core: CoreFixture, environment: dict[str, str], crashes: Crashes, point: str
) -> None:
    case = EXPORT if point.startswith("export") else RECEIPTS
    other = add_published_posts(core, 3)[0]
    with core.context.database.begin() as c:
        add_move(c, other.deliveries[0])
    crashes.crash(environment, point, "run_job", case.name)
    assert case.find_number(core) == (4 if point.endswith("committed") else 0), (
        "a transaction, or nothing of it"
    )
    add_published_posts(core)
    case.drain(core)
    assert case.find_number(core) == 5


def test_a_crash_between_two_batches_goes_on_with_the_second(core: CoreFixture) -> None:
    with counting(core) as changed:
        add_published_posts(core, 30)
        assert export_moves(core.context, batch=7, most=7) <= 7
    assert changed[PUBLISHED] == 30


# --- pages that are open ---------------------------------------------------------------------------------------------


def poll(core: CoreFixture, before: Watermark | None = None) -> Reading:
    with core.context.database.begin_read(10) as c:
        return read_live(c, before, [])


def list_ids(reading: Reading) -> set[int]:
    return {move.id for move in reading.moves}


def test_a_page_reads_a_move_as_soon_as_it_is_visible_with_its_workspace_and_post(core: CoreFixture) -> None:
    export_all(core)
    start = poll(core)
    assert (start.moves, start.is_cut) == ([], False)
    post = core.ledger.post([core.accounts["one"]])
    found = poll(core, start.watermark)
    assert {(m.origin, m.target, m.workspace_id, m.post_id) for m in found.moves} == {
        (None, "scheduled", core.workspace, post.id)
    }
    assert found.last >= max(list_ids(found))
    assert poll(core, found.watermark).moves == []


def test_a_page_reads_a_move_that_commits_after_later_ones_and_waits_for_none(core: CoreFixture) -> None:
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
    monkeypatch.setattr(moves, "LIMIT", 2)
    core.ledger.posts(3, [core.accounts["one"]])
    found = poll(core, start.watermark)
    assert (len(found.moves), found.is_cut) == (2, True)


# --- what it costs ---------------------------------------------------------------------------------------------------


class Search(NamedTuple):
    sql: str
    values: Mapping[str, str]
    by: str
    whole: frozenset[str] = frozenset()
    """Small tables that may be read whole."""
    scans: bool = False
    """It runs as it is; the others switch sequential scans off."""
    generic: bool = False


_WITHOUT = receipts._MOVES_WITHOUT_RECEIPT
_INTENDED = {":intended": "ARRAY['held: rate']"}
SEARCHES = {
    "export": Search(
        moves._MOVES,
        {":done": "58000", ":until": "58500", **_INTENDED},
        "moves_by_id",
        frozenset({"seen_pauses"}),
    ),
    "pages": Search(moves._LIVE_MOVES, {":proven": "58500", ":n": "2001"}, "moves_by_id"),
    "receipts": Search(
        _WITHOUT, {":done": "58000", ":n": "500"}, "moves_last_word", frozenset({"accounts"}), scans=True
    ),
    "receipts, by a generic plan": Search(
        _WITHOUT,
        {":done": "$1", ":n": "$2"},
        "moves_last_word",
        frozenset({"accounts"}),
        scans=True,
        generic=True,
    ),
}


def test_no_search_reads_a_table_from_end_to_end(core: CoreFixture) -> None:
    with core.context.database.begin() as c:
        for sql in FILLED:
            c.exec_driver_sql(sql)
    for _ in ("never counted", "counted"):
        for name, search in SEARCHES.items():
            plan = explain(core, search)
            nodes = list(nodes_of(plan))
            whole = {n["Relation Name"] for n in nodes if n["Node Type"] == "Seq Scan"} - search.whole
            assert not whole, (name, plan)
            assert search.by in {n.get("Index Name") for n in nodes}, (name, plan)
            assert not {n["Node Type"] for n in nodes} & {"Hash Join", "Merge Join", "Hash"}, (name, plan)
        with core.context.database.once() as c:
            c.exec_driver_sql("ANALYZE")


def explain(core: CoreFixture, search: Search) -> Mapping[str, Any]:
    sql = search.sql
    for name, value in search.values.items():
        sql = sql.replace(name, value)
    options = "GENERIC_PLAN, FORMAT JSON" if search.generic else "FORMAT JSON"
    with core.context.database.begin() as c:
        if not search.scans:
            c.exec_driver_sql("SET LOCAL enable_seqscan = off")
        driver: Any = c.connection.driver_connection
        found: Mapping[str, Any] = driver.execute(f"EXPLAIN ({options}) {sql}").fetchone()[0][0]["Plan"]
    return found
