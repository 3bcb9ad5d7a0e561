"""`slipway migrate` beside another migrate, readers, writers, and code that a step would break."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from pipeline.store import migrate
from pipeline.store.database import Database
from pipeline.store.migrate import MigrationBlocked, find_head, upgrade
from pipeline.store.revision import compute_schema_digest, find_code_revision
from pipeline.store.schema_version import (
    IncompatibleSchema,
    OtherSchema,
    build_oldest_code_comment,
    read_oldest_code,
    require_compatible,
)
from tests.pipeline.store.extra_migrations import more, number
from tests.pipeline.store.ledger import together
from tests.stack import until

ADDS = "op.execute('ALTER TABLE posts ADD note text')"
TAKES = "op.execute('ALTER TABLE posts DROP COLUMN source')"


def tables(url: str) -> dict[str, int]:
    engine = sa.create_engine(url)
    names = sa.inspect(engine).get_table_names()
    engine.dispose()
    return dict.fromkeys(names, 1)


def revisions(url: str) -> list[str]:
    with connected(url) as c:
        return [str(name) for (name,) in c.execute("SELECT version_num FROM alembic_version").fetchall()]


@contextmanager
def connected(url: str, name: str = "a test") -> Iterator[psycopg.Connection]:
    """Another client's connection, in autocommit mode."""
    plain = url.replace("postgresql+psycopg://", "postgresql://")
    with psycopg.connect(plain, application_name=name, autocommit=True) as c:
        yield c


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the waits."""
    monkeypatch.setattr(migrate, "LOCK_WAIT", 0.2)
    monkeypatch.setattr(migrate, "PAUSE", 0.05)
    monkeypatch.setattr(migrate, "TRIES", 3)


def test_four_at_once_and_again_bring_a_database_to_the_same_head(empty_database_url: str) -> None:
    assert together(*[lambda: upgrade(empty_database_url)] * 4) == [find_head()] * 4
    assert revisions(empty_database_url) == [find_head()]
    known = tables(empty_database_url)
    assert {"workspaces", "keys", "accounts", "posts", "deliveries", "attempts", "moves", "checks"} <= set(
        known
    )
    assert upgrade(empty_database_url) == find_head()
    assert tables(empty_database_url) == known


def test_two_at_once_make_an_index_without_stopping_anybody(database_url: str, tmp_path: Path) -> None:
    folder = more(tmp_path, "index_concurrently('noted', 'ON posts (caption)')")
    assert together(*[lambda: upgrade(database_url, folder)] * 2) == [number(1)] * 2
    with connected(database_url) as c:
        [valid] = c.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = 'noted'::regclass").fetchall()
    assert valid == (True,)


def test_an_index_that_was_left_half_made_is_made_again(database_url: str, tmp_path: Path) -> None:
    with connected(database_url) as c:
        c.execute("CREATE INDEX noted ON posts (caption)")
        c.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'noted'::regclass")
    upgrade(database_url, more(tmp_path, "index_concurrently('noted', 'ON posts (caption)')"))
    with connected(database_url) as c:
        [valid] = c.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = 'noted'::regclass").fetchall()
    assert valid == (True,)


@pytest.mark.usefixtures("hasty")
def test_a_step_that_does_not_get_its_lock_says_who_is_in_its_way(database_url: str, tmp_path: Path) -> None:
    folder = more(tmp_path, "op.execute('CREATE TABLE note (id int)')", ADDS)
    with connected(database_url, "report") as reader, reader.transaction():
        reader.execute("SELECT FROM posts")
        with pytest.raises(MigrationBlocked) as stuck:
            upgrade(database_url, folder)
        assert f"report (pid {reader.info.backend_pid}) has had a transaction open" in str(stuck.value)
        assert revisions(database_url) == [number(1)], "what came before it is made"
    assert upgrade(database_url, folder) == number(2)


def test_nobody_queues_for_long_behind_a_step_that_waits(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "LOCK_WAIT", 0.2)
    monkeypatch.setattr(migrate, "TRIES", 1000)
    waits = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'posts'::regclass"
    with connected(database_url) as reader, connected(database_url) as other, ThreadPoolExecutor(1) as pool:
        with reader.transaction():
            reader.execute("SELECT FROM posts")
            migrating = pool.submit(upgrade, database_url, more(tmp_path, ADDS))
            until(lambda: bool(other.execute(waits).fetchall()), 30)
            other.execute(
                "SELECT FROM posts"
            )  # without its own limit it would wait for both, and the test would hang
            assert not migrating.done()
        assert migrating.result(60) == number(1)


@pytest.mark.parametrize("name", ["slipway", "slipway/0045", "slipway/s0001"])
def test_a_contract_step_waits_until_older_code_is_gone(database_url: str, tmp_path: Path, name: str) -> None:
    folder = more(tmp_path, ADDS, TAKES, minimum_code=number(1))
    with connected(database_url, name), connected(database_url, f"slipway/{number(1)}"):
        with pytest.raises(MigrationBlocked) as stuck:
            upgrade(database_url, folder)
        assert f"(1 of {name.partition('/')[2] or 'an unknown revision'})" in str(stuck.value)
        assert revisions(database_url) == [number(1)]
    with connected(database_url, f"slipway/{number(1)}"):
        assert upgrade(database_url, folder) == number(2)


def test_a_connection_tells_the_revision_of_its_code(database_url: str) -> None:
    database = Database(database_url)
    with connected(database_url) as c, database.begin():
        found = c.execute("SELECT application_name FROM pg_stat_activity WHERE datname = current_database()")
        assert (f"slipway/{find_code_revision()}",) in found.fetchall()
    database.close()


def test_code_and_tables_that_do_not_fit_are_told_apart(database_url: str, tmp_path: Path) -> None:
    database = Database(database_url)
    with database.begin() as c:
        require_compatible(c)
        assert read_oldest_code(c) == ""
    upgrade(database_url, more(tmp_path, ADDS, TAKES, minimum_code=number(0)))
    with database.begin() as c:
        require_compatible(c)
        assert read_oldest_code(c) == number(0), "the mark is in the step's transaction"
        c.exec_driver_sql(build_oldest_code_comment(number(1)))
        with pytest.raises(
            IncompatibleSchema, match=f"need code of {number(1)} or later: start the newer version"
        ):
            require_compatible(c)
        c.exec_driver_sql("UPDATE alembic_version SET version_num = 's0000'")
        with pytest.raises(
            IncompatibleSchema, match=f"at s0000 and this code needs {number(0)}: run `slipway migrate`"
        ):
            require_compatible(c)
        c.exec_driver_sql("DROP TABLE alembic_version")
        with pytest.raises(IncompatibleSchema, match="has no tables yet: run `slipway migrate`"):
            require_compatible(c)
    database.close()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE alembic_version SET version_num = '0045'",
        "UPDATE alembic_version SET version_num = '0001'",
        "COMMENT ON COLUMN alembic_version.version_num IS NULL",
    ],
)
def test_a_database_of_another_schema_is_left_as_it_is(
    database_url: str, tmp_path: Path, change: str
) -> None:
    with connected(database_url) as c:
        c.execute(change)
    before = revisions(database_url), tables(database_url)
    with pytest.raises(OtherSchema, match="Nothing in it was changed"):
        upgrade(database_url, more(tmp_path, ADDS))
    assert (revisions(database_url), tables(database_url)) == before
    database = Database(database_url)
    with database.begin() as c, pytest.raises(OtherSchema, match="slipway post export"):
        require_compatible(c)
    database.close()


def test_a_start_while_another_process_migrates_finds_no_tables_or_all(empty_database_url: str) -> None:
    database = Database(empty_database_url)
    refusals = set()

    def start() -> None:
        while True:
            try:
                with database.once() as c:
                    require_compatible(c)
            except IncompatibleSchema as error:
                refusals.add(str(error))
            else:
                return

    together(start, lambda: upgrade(empty_database_url), lambda: upgrade(empty_database_url), start)
    database.close()
    assert refusals <= {"The database has no tables yet: run `slipway migrate`."}


def test_only_statements_count_in_the_digest(tmp_path: Path) -> None:
    folder = more(tmp_path)
    file = folder / "versions" / "schema.sql"
    schema = file.read_text()
    cut = [line for line in schema.splitlines() if line.partition("--")[0].count("'") % 2]
    assert cut == [], "no text contains what begins a comment"
    changes = {
        "-- a note\n" + schema: True,
        schema.replace("\n", "\n\n   "): True,
        schema.replace("text", "int", 1): False,
    }
    for changed, is_same in changes.items():
        file.write_text(changed)
        compute_schema_digest.cache_clear()
        assert (compute_schema_digest(folder) == compute_schema_digest()) is is_same


def test_an_older_release_finds_nothing_to_do_in_newer_tables(database_url: str, tmp_path: Path) -> None:
    assert upgrade(database_url, more(tmp_path, ADDS)) == number(1)
    assert upgrade(database_url) == number(1)


def test_only_a_revision_is_a_mark() -> None:
    with pytest.raises(ValueError, match="is not a revision"):
        build_oldest_code_comment("1'; DROP TABLE posts; --")
