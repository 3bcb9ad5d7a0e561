"""Every migration leaves older code working or names the code it needs, and none holds a lock for long."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import Script, ScriptDirectory

from pipeline.store import migrate
from pipeline.store.revision import MIGRATIONS, find_code_revision
from tests.conftest import Engines, database
from tests.pipeline.store.catalogue import findings, read
from tests.pipeline.store.extra_migrations import more

#: Squawk's rules that are not about locks or older code, or that `slipway migrate` keeps by itself.
ELSEWHERE = (
    "prefer-bigint-over-int",
    "prefer-bigint-over-smallint",
    "prefer-identity",
    "prefer-robust-stmts",
    "prefer-text-field",
    "prefer-timestamp-tz",
    "require-lock-timeout",
    "require-statement-timeout",
)


OLD = """
CREATE TABLE other (id int PRIMARY KEY);
CREATE TABLE old (id uuid PRIMARY KEY, free text, filled int NOT NULL DEFAULT 1, n int);
CREATE UNIQUE INDEX old_unique ON old (n, filled) WHERE n > 0;
CREATE INDEX old_index ON old (free);
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER t BEFORE UPDATE ON old FOR EACH ROW EXECUTE FUNCTION f();
"""


def chain(folder: Path = MIGRATIONS) -> list[Script]:
    """Return all migrations, in order."""
    return list(reversed(list(ScriptDirectory.from_config(migrate._build_config(folder)).walk_revisions())))


def said(step: Script) -> dict[str, str]:
    """Return the harmless findings of a migration, each with its reason."""
    harmless: dict[str, str] = getattr(step.module, "harmless", {})
    return harmless


@pytest.fixture(scope="module")
def engine(engines: Engines) -> Iterator[sa.Engine]:
    """A database with tables of an older version."""
    with database(engines, "template0") as url:
        engine = sa.create_engine(url)
        with engine.begin() as c:
            c.execute(sa.text(OLD))
        yield engine
        engine.dispose()


@pytest.fixture
def connection(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction that is rolled back."""
    with engine.connect() as c:
        yield c


# --- what older code can rely on -------------------------------------------------------------------------------------


def test_revisions_are_four_digits_in_the_order_of_their_chain() -> None:
    names = [step.revision for step in chain()]
    assert all(re.fullmatch("s[0-9]{4}", name) for name in names)
    assert names == sorted(set(names))
    assert find_code_revision() == migrate.find_head() == names[-1]
    assert all(Path(step.path).name.startswith(f"{step.revision[1:]}_") for step in chain())


def test_each_migration_expands_or_says_which_code_it_needs(empty_database_url: str) -> None:
    for step, found in applied(empty_database_url):
        assert all(said(step).values()), f"{step.revision}: a reason is missing"
        assert said(step).keys() <= found, f"{step.revision} excuses what is not there"
        open_ones = found - said(step).keys()
        if minimum := migrate.read_minimum_code(step):
            assert "s0001" <= minimum <= step.revision, step.revision
            assert open_ones, f"{step.revision} takes nothing away: it needs no minimum_code"
        else:
            assert not open_ones, f"{step.revision}: {sorted(open_ones)}. See {MIGRATIONS / 'README.md'}"


def applied(url: str) -> list[tuple[Script, set[str]]]:
    """Apply each migration, and return its findings."""
    engine, steps = sa.create_engine(url), []
    with engine.connect() as c:
        config = migrate._build_config()
        config.attributes["connection"] = c
        before = read(c)
        for step in chain():
            c.commit()
            command.upgrade(config, step.revision)
            after = read(c)
            steps.append((step, findings(before, after)))
            before = after
    engine.dispose()
    return steps


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        ("DROP TABLE other", "other is gone"),
        ("ALTER TABLE old RENAME TO renamed", "old is gone"),
        ("ALTER TABLE old DROP COLUMN free", "old.free is gone"),
        ("ALTER TABLE old RENAME COLUMN free TO renamed", "old.free is gone"),
        ("ALTER TABLE old ALTER free TYPE varchar(9)", "old.free was text and is character varying(9)"),
        ("ALTER TABLE old ALTER free SET NOT NULL", "old.free must be filled"),
        ("ALTER TABLE old ALTER filled DROP DEFAULT", "old.filled has lost its default"),
        (
            "ALTER TABLE old ADD new int NOT NULL DEFAULT 1; ALTER TABLE old ALTER new DROP DEFAULT",
            "old.new is new and older code does not fill it",
        ),
        (
            "ALTER TABLE old ADD CONSTRAINT short CHECK (free <> '')",
            "old has a new rule over columns it had: short",
        ),
        (
            "ALTER TABLE old ADD CONSTRAINT points FOREIGN KEY (n) REFERENCES other",
            "old has a new rule over columns it had: points",
        ),
        ("CREATE UNIQUE INDEX u ON old (n)", "old must be unique by n"),
        ("DROP INDEX old_unique", "old is no longer unique by filled, n where (n > 0)"),
        ("ALTER TABLE old DROP CONSTRAINT old_pkey", "old is no longer unique by id"),
        ("DROP TRIGGER t ON old", "the trigger t of old is gone"),
        ("ALTER TABLE old ALTER n TYPE bigint", "old was rewritten, row by row"),
        ("ALTER TABLE old ADD c int GENERATED ALWAYS AS IDENTITY", "old was rewritten, row by row"),
    ],
)
def test_what_older_code_would_miss_is_found(connection: sa.Connection, change: str, finding: str) -> None:
    before = read(connection)
    connection.execute(sa.text(change))
    assert finding in findings(before, read(connection))


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TABLE new (id int PRIMARY KEY, old uuid NOT NULL REFERENCES old)",
        "ALTER TABLE old ADD a text, ADD b int NOT NULL DEFAULT 7",
        "ALTER TABLE old ADD d int CHECK (d > 0), ADD CONSTRAINT pair CHECK (d IS NULL OR free IS NOT NULL) NOT VALID",
        "CREATE INDEX i ON old (free, n)",
        "ALTER TABLE old ALTER free SET DEFAULT 'x'",
        "DROP INDEX old_index",
        "CREATE TRIGGER t2 AFTER INSERT ON old FOR EACH ROW EXECUTE FUNCTION f()",
        "ALTER TABLE other DROP CONSTRAINT other_pkey; ALTER TABLE other ADD PRIMARY KEY (id)",
    ],
)
def test_what_only_expands_is_let_pass(connection: sa.Connection, change: str) -> None:
    before = read(connection)
    connection.execute(sa.text(change))
    assert findings(before, read(connection)) == set()


# --- locks -----------------------------------------------------------------------------------------------------------


def squawk(step: Script) -> list[str]:
    """Return Squawk's findings about a migration's SQL, as `slipway migrate` sends it."""
    sql = io.StringIO()
    opts: dict[str, Any] = {"as_sql": True, "output_buffer": sql, "transactional_ddl": True}
    context = MigrationContext.configure(dialect_name="postgresql", opts=opts)
    with Operations.context(context), context.begin_transaction(_per_migration=False):
        step.module.upgrade()
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "squawk"),
            "--reporter",
            "json",
            "--pg-version",
            "18.0",
            "--exclude",
            ",".join(ELSEWHERE),
            "--stdin-filepath",
            f"{step.revision}.sql",
        ],
        input=sql.getvalue(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in {0, 1}, done.stderr
    found = [f"{one['rule_name']}: {one['message']}" for one in json.loads(done.stdout)]
    # what a contract step removes is compared in the catalogue
    return [one for one in found if not (migrate.read_minimum_code(step) and one.startswith("ban-drop"))]


def test_no_migration_stops_everybody() -> None:
    """The first one meets no rows and no older code."""
    found = {step.revision: squawk(step) for step in chain()[1:]}
    assert not any(found.values()), found


@pytest.mark.parametrize(
    ("body", "rules"),
    [
        ("op.execute('CREATE INDEX i ON posts (caption)')", {"require-concurrent-index-creation"}),
        ("op.execute('ALTER TABLE posts ADD CHECK (caption <> chr(0))')", {"constraint-missing-not-valid"}),
        ("op.execute('ALTER TABLE posts ALTER source SET NOT NULL')", {"adding-not-nullable-field"}),
        ("op.execute('ALTER TABLE posts ALTER source TYPE int USING 1')", {"changing-column-type"}),
        ("op.execute('ALTER TABLE posts DROP COLUMN source')", {"ban-drop-column"}),
        ("index_concurrently('i', 'ON posts (caption)')", set()),
        ("op.execute('ALTER TABLE posts ADD note text')", set()),
    ],
)
def test_squawk_is_asked_about_what_is_sent(tmp_path: Path, body: str, rules: set[str]) -> None:
    step = chain(more(tmp_path, body))[-1]
    assert {one.partition(":")[0] for one in squawk(step)} == rules
