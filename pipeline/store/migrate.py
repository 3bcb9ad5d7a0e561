"""Brings a database to the newest tables while older code goes on working on it. The rules: ``migrations/README.md``.

Safe to run from several processes at once: one waits for the other. A step that does not get its lock soon gives up,
or everybody else would queue behind it, and is tried again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import OperationalError

from pipeline.store.database import rows
from pipeline.store.migration_helpers import LOCK_WAIT
from pipeline.store.revision import MIGRATIONS
from pipeline.store.schema_version import revision_of_tables

log = logging.getLogger("slipway.migrate")

LOCK = 0x511B  # any fixed number: the advisory lock that makes two migrating processes take turns
TRIES = 10
PAUSE = 1.0
"""Seconds between two tries."""
LOOK = 0.2
"""Seconds between two looks whether it is our turn."""
_LOCK_NOT_AVAILABLE = "55P03"


class Stuck(Exception):
    """A step could not be made, and nothing of it was; the sentence says who is in its way. Earlier steps stay made."""


def head(migrations: Path = MIGRATIONS) -> str:
    """The newest revision the code knows."""
    return ScriptDirectory.from_config(_config(migrations)).get_current_head() or ""


def upgrade(url: str, migrations: Path = MIGRATIONS) -> str:
    """Applies what is missing; returns the revision the database is at: newer than ours, it is left as it is.

    Raises Stuck, and SQLAlchemy's errors as they are.
    """
    engine = create_engine(url, connect_args={"application_name": "slipway migrate"})
    try:
        # one that looks, without ever holding a transaction open, and one that changes
        with _looking(engine) as c, _turn(c), engine.connect() as ours:
            ours.execute(text(f"SET lock_timeout = {int(LOCK_WAIT * 1000)}"))
            ours.commit()
            for step in _missing(c, migrations):
                _require_no_older_code(c, step)
                _patiently(c, ours, step, migrations)
            return revision_of_tables(c)
    finally:
        engine.dispose()


def _config(migrations: Path = MIGRATIONS) -> Config:
    config = Config()
    config.set_main_option("script_location", str(migrations))
    return config


def _looking(engine: Engine) -> Connection:
    return engine.execution_options(isolation_level="AUTOCOMMIT").connect()


@contextmanager
def _turn(c: Connection) -> Iterator[None]:
    """One process at a time, which the others ask for again and again.

    Whoever waited *in* a statement would hold a snapshot, and CREATE INDEX CONCURRENTLY waits for that, while the
    statement waits for us: a deadlock that the server cannot see.
    """
    while not rows(c, "SELECT 1 AS one WHERE pg_try_advisory_lock(:n)", n=LOCK):
        time.sleep(LOOK)
    try:
        yield
    finally:
        rows(c, "SELECT pg_advisory_unlock(:n)", n=LOCK)


def _missing(c: Connection, migrations: Path) -> list[Script]:
    """In order; none when the tables are newer than this code, which an older release's `migrate` may well find."""
    at = revision_of_tables(c)
    chain = reversed(list(ScriptDirectory.from_config(_config(migrations)).walk_revisions()))
    return [step for step in chain if step.revision > at]


def minimum_code(step: Script) -> str:
    """What a contract step says: the oldest revision of code that it leaves running; empty for one that expands."""
    found: str = getattr(step.module, "minimum_code", "")
    return found


def _require_no_older_code(c: Connection, step: Script) -> None:
    """Before a contract step: a process too old for it tells its revision by the name of its connections."""
    older = rows(
        c,
        """SELECT application_name AS name, count(*) AS n FROM pg_stat_activity
           WHERE datname = current_database() AND application_name ~ '^slipway(/[0-9]+)?$'
             AND coalesce(substring(application_name FROM '/([0-9]+)'), '') < :minimum
           GROUP BY application_name ORDER BY application_name""",
        minimum=minimum_code(step),
    )
    if older:
        seen = ", ".join(f"{r.n} of {r.name.partition('/')[2] or 'an unknown revision'}" for r in older)
        raise Stuck(
            f"{step.revision} takes away what code before {minimum_code(step)} uses, and such code is connected "
            f"({seen}). Stop it, then run `slipway migrate` again; what comes before this step is done."
        )


def _patiently(c: Connection, ours: Connection, step: Script, migrations: Path) -> None:
    config = _config(migrations)
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
                "%s waits for a lock (try %s of %s): %s", step.revision, attempt, TRIES, _in_the_way(c)
            )
        else:
            return
        time.sleep(PAUSE)
    raise Stuck(
        f"{step.revision} did not get its lock within {TRIES} tries of {LOCK_WAIT:g} s: {_in_the_way(c)}. Nothing of "
        "it is done. End that transaction, then run `slipway migrate` again."
    )


def _in_the_way(c: Connection) -> str:
    """The transactions that have been open for so long that they must have been it."""
    found = rows(
        c,
        """SELECT pid, application_name AS name, extract(epoch FROM now() - xact_start)::int AS seconds
           FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
             AND xact_start < now() - make_interval(secs => :wait) ORDER BY xact_start LIMIT 3""",
        wait=LOCK_WAIT / 2,
    )
    return ", ".join(
        f"{r.name or 'a process'} (pid {r.pid}) has had a transaction open for {r.seconds} s" for r in found
    ) or ("nobody holds one any more")
