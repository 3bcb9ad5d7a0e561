"""Jobs on a database that was never analyzed: what a chunk reads does not grow with the tables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import pytest
from sqlalchemy import Connection

from pipeline.actions.steer_step import run_steering_step
from pipeline.actions.steering import Steering, steer
from pipeline.api.posts.schema import build_post_format
from pipeline.domain.bulk_import import ImportState
from pipeline.domain.steering import Arguments, Verb
from pipeline.imports import control
from pipeline.imports.step import run_step
from pipeline.maintenance.read_moves import export_moves
from pipeline.store.database import Database, row, rows
from pipeline.store.deliveries.selection import ListFilter
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.imports.row_imports import find_import, upload_rows

SMALL, LARGE = 1_500, 20_000
GROWTH = 1.2
RANGES = 3
"""The index of moves names ranges of pages, and a batch may lie in some of them."""
TABLES = "FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind"
READ = f"""SELECT sum(pg_stat_get_xact_tuples_returned(oid) + pg_stat_get_xact_tuples_fetched(oid)) AS n
           {TABLES} IN ('r', 'i') AND relname <> 'imports_pkey'"""
"""But for an import's own row: each row of a chunk reads its versions, and one more lease makes one more."""


@pytest.fixture
def core(own: CoreFixture) -> Iterator[CoreFixture]:
    """A workspace on a database whose tables nothing counts."""
    with own.context.database.begin() as c:
        for table in rows(c, f"SELECT relname AS name {TABLES} = 'r'"):
            c.exec_driver_sql(f"ALTER TABLE {table.name} SET (autovacuum_enabled = off)")
    own.decided()
    yield own
    with own.context.database.begin() as c:
        assert rows(c, "SELECT tablename FROM pg_stats WHERE schemaname = 'public'") == []


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows and entries of indexes each transaction reads, from now on."""
    found: list[int] = []
    begin = Database.begin

    @contextmanager
    def begin_counted(self: Database) -> Iterator[Connection]:
        with begin(self) as c:
            before = row(c, READ)
            yield c
            after = row(c, READ)
            assert before is not None
            assert after is not None
            found.append(int(after.n - before.n))

    monkeypatch.setattr(Database, "begin", begin_counted)
    return found


def count_steps(core: CoreFixture, identity: UUID, reads: list[int], most: int = 1000) -> list[int]:
    """Do steps of one chunk each while the import stays in its state; return what each read, but for the last."""
    form, state = build_post_format(core.context.settings), find_import(core, identity).state
    found: list[int] = []
    while len(found) < most:
        reads.clear()
        run_step(core.context, identity, form)
        found.append(sum(reads))
        if find_import(core, identity).state is not (
            ImportState.READING if state is ImportState.UPLOADED else state
        ):
            break
    return found[:-1]


def import_file(core: CoreFixture, count: int, reads: list[int]) -> dict[str, list[int]]:
    """Import a file, pause and roll some of it back; return what the steps of each kind read."""
    identity, found = upload_rows(core, count, f"Row {{}} of {count}"), {}
    # the first chunk finds, before its rows, the last one of another file: its old version too, while one may see it
    found["plan"] = count_steps(core, identity, reads)[1:]
    control.apply(core.context, core.caller, identity, (find_import(core, identity).plan_hash or b"").hex())
    found["apply"] = count_steps(core, identity, reads)
    # as autovacuum would: it is no statistics, and the index has little else
    with core.context.database.begin() as c:
        rows(c, "SELECT brin_summarize_new_values('moves_by_id')")
    reads.clear()
    export_moves(core.context)
    found["export"] = list(reads)
    found["pause"] = count_steering(core, identity, reads)
    control.rollback(core.context, core.caller, identity)
    found["roll back"] = count_steps(core, identity, reads, 3)
    return found


def count_steering(core: CoreFixture, identity: UUID, reads: list[int]) -> list[int]:
    """Begin to pause the posts of an import; return what the first steps that act on posts read."""
    chosen = ListFilter(workspace=core.workspace, import_id=identity)
    asked = Steering(verb=Verb.PAUSE, filter=chosen, arguments=Arguments(why="a test"))
    job = steer(core.context, core.caller, asked, confirm=True).job
    assert job is not None
    found: list[int] = []
    for _ in range(2):
        reads.clear()
        run_steering_step(core.context, job.id)
        found.append(sum(reads))
    return found


def test_what_a_chunk_reads_does_not_grow_with_the_tables(core: CoreFixture, reads: list[int]) -> None:
    """Plans are made, and kept by the connection, while the tables have one row, then 3,000, then 20,000.

    The first 1,500 give each row of the next files as many neighbours as are read of one, at most.
    """
    for count in (1, SMALL - 1):
        import_file(core, count, reads)
    small, large = import_file(core, SMALL, reads), import_file(core, LARGE, reads)
    assert max(large.pop("export")) <= RANGES * max(small.pop("export"))
    for kind, found in large.items():
        assert max(found) <= GROWTH * max(small[kind]), kind
