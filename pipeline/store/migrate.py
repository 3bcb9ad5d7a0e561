"""Migrate a database to the newest tables while older code keeps using it. The rules: ``migrations/README.md``.

Several processes may migrate at once: one waits for the other. A step that does not get its lock soon gives up, since
all other statements would queue behind it, and is tried again.

Operations for migrations in addition to Alembic's own.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command, op
from alembic.config import Config
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import OperationalError

from pipeline.store.database import has_pooler, rows
from pipeline.store.revision import MIGRATIONS
from pipeline.store.schema_version import read_table_revision, require_own_schema

LOCK_WAIT = 3.0
"""Seconds a step waits for a lock on a table: while it waits, other statements on the table queue behind it."""


def index_concurrently(name: str, definition: str) -> None:
    """Create an index without blocking writes. ``definition``: what follows its name, ``ON moves (id) WHERE …``.

    It runs outside a transaction, so it is alone in its migration, and first drops what an interrupted try left. It
    waits without a limit, as no statement queues behind it (PostgreSQL 18 manual, CREATE INDEX, read 2026-11-25).
    """
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = 0")
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
        op.execute(f"CREATE INDEX CONCURRENTLY {name} {definition}")
        op.execute(f"SET lock_timeout = {int(LOCK_WAIT * 1000)}")


log = logging.getLogger("slipway.migrate")

LOCK = 0x511B  # any fixed number: the advisory lock of the migrating process
TRIES = 10
PAUSE = 1.0
"""Seconds between two tries."""
POLL = 0.2
"""Seconds between two tries of the advisory lock."""
_LOCK_NOT_AVAILABLE = "55P03"


class MigrationBlocked(Exception):
    """A step could not be applied; the message says what blocks it. Nothing of it is done; earlier steps stay."""


def find_head(migrations: Path = MIGRATIONS) -> str:
    """Return the newest revision of the code."""
    return ScriptDirectory.from_config(_build_config(migrations)).get_current_head() or ""


def upgrade(url: str, migrations: Path = MIGRATIONS) -> str:
    """Apply the missing migrations and return the database's revision; a newer database is left unchanged.

    Raises OtherSchema, MigrationBlocked, and SQLAlchemy's errors unchanged.
    """
    engine = create_engine(url, connect_args={"application_name": "slipway migrate"})
    try:
        # one connection that reads and never keeps a transaction open, and one that migrates
        with _connect_to_read(engine) as c, _advisory_lock(c), engine.connect() as ours:
            ours.execute(text(f"SET lock_timeout = {int(LOCK_WAIT * 1000)}"))
            ours.commit()
            require_own_schema(c)
            for step in _list_missing(c, migrations):
                _require_no_older_code(c, step)
                _apply(c, ours, step, migrations)
            return read_table_revision(c)
    finally:
        engine.dispose()


def _build_config(migrations: Path = MIGRATIONS) -> Config:
    config = Config()
    config.set_main_option("script_location", str(migrations))
    return config


def _connect_to_read(engine: Engine) -> Connection:
    return engine.execution_options(isolation_level="AUTOCOMMIT").connect()


@contextmanager
def _advisory_lock(c: Connection) -> Iterator[None]:
    """Hold the advisory lock; poll for it until the process that holds it ends.

    A process that waited *in* a statement would hold a snapshot. CREATE INDEX CONCURRENTLY waits for snapshots to end,
    while that statement waits for this lock: a deadlock that the server does not detect. The lock is the session's,
    which no pooler keeps. Raises MigrationBlocked.
    """
    if has_pooler(c):
        raise MigrationBlocked(
            "SLIPWAY_STORE__URL leads to a connection pooler, which cannot hold the lock of a migration. Run `slipway "
            "migrate` with the URL of PostgreSQL itself."
        )
    while not rows(c, "SELECT 1 AS one WHERE pg_try_advisory_lock(:n)", n=LOCK):
        time.sleep(POLL)
    try:
        yield
    finally:
        rows(c, "SELECT pg_advisory_unlock(:n)", n=LOCK)


def _list_missing(c: Connection, migrations: Path) -> list[Script]:
    """Return the migrations to apply, in order; none when the tables are newer than this code."""
    at = read_table_revision(c)
    chain = reversed(list(ScriptDirectory.from_config(_build_config(migrations)).walk_revisions()))
    return [step for step in chain if step.revision > at]


def read_minimum_code(step: Script) -> str:
    """Return the oldest code that a contract step leaves working; empty for an expand step."""
    found: str = getattr(step.module, "minimum_code", "")
    return found


def _require_no_older_code(c: Connection, step: Script) -> None:
    """Refuse a contract step while older code is connected: connections are named after their code's revision."""
    older = rows(
        c,
        """SELECT application_name AS name, count(*) AS n FROM pg_stat_activity
           WHERE datname = current_database() AND application_name ~ '^slipway(/s?[0-9]+)?$'
             AND coalesce(substring(application_name FROM '/(.+)'), '') < :minimum
           GROUP BY application_name ORDER BY application_name""",
        minimum=read_minimum_code(step),
    )
    if older:
        seen = ", ".join(f"{r.n} of {r.name.partition('/')[2] or 'an unknown revision'}" for r in older)
        raise MigrationBlocked(
            f"{step.revision} removes what code before {read_minimum_code(step)} uses, and such code is connected "
            f"({seen}). Stop it, then run `slipway migrate` again. All steps before this one are applied."
        )


def _apply(c: Connection, ours: Connection, step: Script, migrations: Path) -> None:
    config = _build_config(migrations)
    config.attributes["connection"] = ours
    for attempt in range(1, TRIES + 1):
        try:
            command.upgrade(config, step.revision)
            ours.commit()
        except OperationalError as error:
            ours.rollback()
            if getattr(error.orig, "sqlstate", None) != _LOCK_NOT_AVAILABLE:
                raise
            log.warning(
                "%s waits for a lock (try %s of %s): %s", step.revision, attempt, TRIES, _describe_blockers(c)
            )
        else:
            return
        time.sleep(PAUSE)
    raise MigrationBlocked(
        f"{step.revision} did not get its lock within {TRIES} tries of {LOCK_WAIT:g} s: {_describe_blockers(c)}. "
        "Nothing of it is applied. End that transaction, then run `slipway migrate` again."
    )


def _describe_blockers(c: Connection) -> str:
    """Describe the transactions that have been open long enough to be what blocks the step."""
    found = rows(
        c,
        """SELECT pid, application_name AS name, extract(epoch FROM now() - xact_start)::int AS seconds
           FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
             AND xact_start < now() - make_interval(secs => :wait) ORDER BY xact_start LIMIT 3""",
        wait=LOCK_WAIT / 2,
    )
    return (
        ", ".join(
            f"{r.name or 'a process'} (pid {r.pid}) has had a transaction open for {r.seconds} s"
            for r in found
        )
        or "no transaction is open any more"
    )
