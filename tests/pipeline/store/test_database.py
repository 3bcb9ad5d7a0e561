from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection

from pipeline.store.database import Database, Unreachable, jsonb, new_id, row, rows
from tests.pipeline.store.ledger import Ledger, together


def test_an_id_is_a_uuid_of_version_seven() -> None:
    for _ in range(2000):
        before = time.time_ns() // 1_000_000
        made = new_id()
        after = time.time_ns() // 1_000_000
        assert made.version == 7
        assert made.variant == RFC_4122
        assert before - 1 <= made.int >> 80 <= after + 1


def test_every_free_bit_of_an_id_is_used() -> None:
    ids = [new_id().int for _ in range(2000)]
    ones = zeros = 0
    for identity in ids:
        ones |= identity
        zeros |= ~identity
    low = (1 << 62) - 1
    assert ones & low == low, "each bit of the random part is sometimes one"
    assert zeros & low == low, "and sometimes nought"


def test_ids_only_ever_go_up_even_between_threads() -> None:
    made: list[UUID] = []
    lock = threading.Lock()

    def make() -> None:
        for _ in range(300):
            with lock:
                made.append(new_id())

    together(*[make] * 8)
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_ids_of_many_threads_are_all_different() -> None:
    made = together(*[lambda: [new_id() for _ in range(2000)]] * 8)
    flat = [i for some in made for i in some]
    assert len(set(flat)) == len(flat)
    for some in made:
        assert some == sorted(some)


def test_the_database_itself_reads_the_time_in_an_id(shared: Ledger) -> None:
    found = shared.do_once(
        row,
        "SELECT now() AS now, uuid_extract_timestamp(:id) AS at, uuid_extract_version(:id) AS v",
        id=new_id(),
    )
    assert found is not None
    assert found.v == 7
    assert abs((found.now - found.at).total_seconds()) < 5


@given(st.text().filter(lambda s: "\0" not in s))
def test_values_are_bound_and_never_part_of_a_statement(value: str) -> None:
    from pipeline.store.database import _to_driver_sql

    sql = (
        "SELECT :a_value, '50%', x::text, '[]'::jsonb, y ->> 'k' FROM t WHERE z LIKE 'id:%' AND :a_value <> 1"
    )
    assert _to_driver_sql(sql) == (
        "SELECT $1, '50%', x::text, '[]'::jsonb, y ->> 'k' FROM t WHERE z LIKE 'id:%' AND $1 <> 1",
        ("a_value",),
    )
    numbered, names = _to_driver_sql(value)
    assert (numbered == value) == (not names), "nothing but names is replaced"


@pytest.mark.parametrize(
    "value", ["", "%s", "%(id)s", ":id", "'; DROP TABLE posts; --", "日本語 \U0001f600", "a\\b"]
)
def test_any_text_comes_back_as_it_was(shared: Ledger, value: str) -> None:
    found = shared.do_once(
        row, "SELECT CAST(:v AS text) AS v, CAST(:j AS jsonb) AS j", v=value, j=jsonb({"v": value})
    )
    assert found is not None
    assert found.v == value
    assert found.j == {"v": value}


def broken_off(way: Callable[[], AbstractContextManager[Connection]], sql: str, **values: Any) -> None:
    """Execute one statement, then fail."""

    def breaks() -> None:
        with way() as c:
            assert row(c, sql, **values) is not None
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        breaks()


def test_a_transaction_is_whole_or_not_at_all(shared: Ledger) -> None:
    workspace = shared.workspace()
    broken_off(
        shared.database.begin, "UPDATE workspaces SET name = 'half' WHERE id = :id RETURNING id", id=workspace
    )
    found = shared.do_once(row, "SELECT name FROM workspaces WHERE id = :id", id=workspace)
    assert found is not None
    assert found.name == "Tests"


def test_a_single_statement_is_committed_when_it_returns(shared: Ledger) -> None:
    workspace = shared.workspace()
    broken_off(
        shared.database.once, "UPDATE workspaces SET name = 'whole' WHERE id = :id RETURNING id", id=workspace
    )
    assert [r.name for r in shared.do(rows, "SELECT name FROM workspaces WHERE id = :id", id=workspace)] == [
        "whole"
    ]


def test_a_connection_of_single_statements_is_clean_for_transactions(database_url: str) -> None:
    database = Database(database_url, pool=1)
    with database.once() as c:
        row(c, "SELECT 1 AS one")
    broken_off(
        database.begin, "INSERT INTO pauses (scope, target, why) VALUES ('all', '', 'x') RETURNING scope"
    )
    with database.once() as c:
        assert rows(c, "SELECT scope FROM pauses") == []
    database.close()


def test_a_database_that_is_away_says_so(database_url: str) -> None:
    nowhere = Database(database_url.replace("/pg", "/nowhere"), wait=0.2)
    for way in (nowhere.begin, nowhere.once):
        with pytest.raises(Unreachable, match="OperationalError"), way():
            pass
    nowhere.close()


def test_no_free_connection_is_said_in_time(database_url: str) -> None:
    database = Database(database_url, pool=1, wait=0.2)
    with database.begin(), pytest.raises(Unreachable, match="TimeoutError"), database.begin():
        pass
    database.close()


def test_a_connection_that_was_cut_is_unreachable_and_the_next_one_works(
    database_url: str, shared: Ledger
) -> None:
    database = Database(database_url, pool=1)
    with pytest.raises(Unreachable), database.begin() as c:
        row(c, "SELECT pg_terminate_backend(pg_backend_pid())")
    with database.begin() as c:
        assert row(c, "SELECT 1 AS one") is not None
    database.close()


@pytest.mark.parametrize(("begin", "ends"), [("begin", {"idle": 0.3}), ("begin_brief", {"frozen": 0.3})])
def test_who_is_frozen_in_a_transaction_does_not_hold_its_rows_for_ever(
    module_database_url: str, shared: Ledger, begin: str, ends: dict[str, float]
) -> None:
    workspace = shared.workspace()
    frozen, other = Database(module_database_url, pool=1, **ends), Database(module_database_url, pool=1)

    def name_it(c: Connection, name: str) -> None:
        row(c, "UPDATE workspaces SET name = :name WHERE id = :id RETURNING id", name=name, id=workspace)

    def freezes() -> None:
        with getattr(frozen, begin)() as c:
            name_it(c, "frozen")
            with other.begin() as theirs:
                name_it(theirs, "other")  # once the server has ended the idle transaction that holds the row
            row(c, "SELECT 1 AS one")  # its transaction has been ended

    with pytest.raises(Unreachable):
        freezes()
    with frozen.once() as c:
        found = row(c, "SELECT name FROM workspaces WHERE id = :id", id=workspace)
    assert found is not None
    assert found.name == "other"
    frozen.close()
    other.close()
