"""Dumps by PostgreSQL's own programs: what a backup reads in one snapshot, and a dump put back in one transaction.

That transaction holds all sending too, so no process ever sees the tables of a restored dump without the hold.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from psycopg.conninfo import make_conninfo
from sqlalchemy import Connection, make_url

from pipeline.runtime.failpoint import failpoint
from pipeline.store.database import Database, execute, has_pooler, read_all, read_number, require_row, rows

COUNTED = ("workspaces", "accounts", "posts", "deliveries", "files")
PIECE = 1 << 20
POLL_SECONDS = 0.2
Programs = Callable[[str, int], Path]
"""Returns the path of a program of PostgreSQL, by its name and the server's major version."""


class BackupError(Exception):
    """A backup cannot be made or restored. The message says why, and what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredObject:
    """An object that the ledger names. ``size`` in bytes."""

    object: str
    size: int
    sha256: bytes


_OBJECTS = """
SELECT * FROM (SELECT object, size, sha256 FROM files WHERE object IS NOT NULL AND removed_at IS NULL
               UNION ALL SELECT object, size, sha256 FROM imports WHERE size IS NOT NULL AND removed_at IS NULL) o
ORDER BY object
"""


def list_objects(c: Connection) -> list[StoredObject]:
    """Return the whole objects of files and imports."""
    return read_all(c, StoredObject, _OBJECTS)


def count_rows(c: Connection) -> dict[str, int]:
    """Return how many rows the main tables have."""
    return {table: read_number(c, f"SELECT count(*) AS n FROM {table}") for table in COUNTED}


def read_server_major(c: Connection) -> int:
    """Return the major version of the server, whose own programs set a session up. Raises BackupError at a pooler."""
    if has_pooler(c):
        raise BackupError(
            "SLIPWAY_STORE__URL leads to a connection pooler: run this command with the URL of PostgreSQL itself."
        )
    return read_number(c, "SELECT current_setting('server_version_num')::int / 10000 AS n")


def list_tables(c: Connection) -> list[str]:
    """Return the tables and views of this database that are not PostgreSQL's own."""
    sql = """SELECT n.nspname || '.' || r.relname AS name FROM pg_class r JOIN pg_namespace n ON n.oid = r.relnamespace
             WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'
               AND r.relkind IN ('r', 'p', 'v', 'm', 'f') ORDER BY 1"""
    return [r.name for r in rows(c, sql)]


@contextmanager
def open_snapshot(database: Database) -> Iterator[tuple[Connection, Any]]:
    """Open a snapshot; yield a connection that reads it, and its name, time and epoch.

    `pg_dump` can read it by its name until the end of the block. Raises Unreachable.
    """
    with database.begin() as c:
        c.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        c.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
        sql = "SELECT pg_export_snapshot() AS name, now() AS at, epoch, n AS epoch_number FROM mark"
        yield c, require_row(c, "The table mark has no row.", sql)


def dump_database(url: str, program: Path, snapshot: str, file: Path, report: Callable[[int], None]) -> None:
    """Dump a snapshot in the custom format, flushed to disk. *report* gets its bytes so far. Raises BackupError."""
    with run_program(program, url, "--format=custom", f"--snapshot={snapshot}", f"--file={file}") as dump:
        while dump.poll() is None:
            report(file.stat().st_size if file.exists() else 0)
            with suppress(subprocess.TimeoutExpired):
                dump.wait(POLL_SECONDS)


_HOLD = """
UPDATE public.mark SET held_at = coalesce(held_at, now()), held_why = 'backup', relation = 0, doubt_until = {until},
    doubt_since = CASE WHEN held_at IS NULL THEN CAST({since} AS timestamptz) ELSE doubt_since END;
"""
"""``relation``: no table has this oid, so the row is never taken for the one that the send guard wrote."""


def hold_sending(c: Connection, since: datetime, until: datetime | None) -> None:
    """Hold all sending of a restored database until an operator accepts it; *since*, *until*: the time in doubt."""
    execute(c, _write_hold(since, until))


def _write_hold(*span: datetime | None) -> str:
    since, until = (f"'{at.isoformat()}'" if at else "NULL" for at in span)
    return _HOLD.format(since=since, until=until)


def restore_dump(
    url: str,
    programs: tuple[Path, Path],
    file: Path,
    span: tuple[datetime, datetime | None],
    report: Callable[[int], None],
) -> None:
    """Restore a dump into an empty database and hold all sending, in one transaction. Raises BackupError.

    The last line commits: a process that dies before it leaves the database as empty as it was. *programs*: pg_restore
    and psql. *span*: the time in doubt; without its end, an operator has to say until when posts were sent. *report*
    gets the bytes read so far.
    """
    words = ("--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", f"--output={os.devnull}")
    with (
        file.open("rb") as archive,
        run_program(programs[0], None, "--file=-", "--no-owner", "--no-acl", stdin=archive) as reader,
        run_program(programs[1], url, *words, stdin=subprocess.PIPE) as writer,
    ):
        writer.stdin.write(b"BEGIN;\n")
        while piece := reader.stdout.read(PIECE):
            writer.stdin.write(piece)
            report(os.lseek(archive.fileno(), 0, os.SEEK_CUR))  # pg_restore reads by the same position
        _require_success(reader)
        writer.stdin.write(_write_hold(*span).encode())
        writer.stdin.flush()
        failpoint("restore.loaded")
        writer.stdin.write(b"COMMIT;\nANALYZE;\n")
        writer.stdin.close()


def build_conninfo(url: str) -> tuple[str, str]:
    """Return a SQLAlchemy URL as PostgreSQL's own programs take it, without the password, and the password."""
    parsed = make_url(url)
    options = dict(parsed.get_dialect()().create_connect_args(parsed)[1])
    password = options.pop("password", "")
    return make_conninfo(**options), password


@contextmanager
def run_program(program: Path, url: str | None, *words: str, **streams: Any) -> Iterator[Any]:
    """Run a program on a database; an error in the block kills it. Raises BackupError if the program fails."""
    place, password = build_conninfo(url) if url else ("", "")
    environment = {**os.environ, "PGPASSWORD": password}
    target = ["--no-password", f"--dbname={place}"] if url else []
    with subprocess.Popen(  # noqa: S603  PostgreSQL's own programs
        [str(program), *target, *words],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        **streams,
    ) as process:
        try:
            yield process
        except BaseException as error:
            process.kill()
            if process.stdin:
                with suppress(BrokenPipeError):
                    process.stdin.close()
            if not isinstance(error, BrokenPipeError):  # which says that the program has failed
                raise
        _require_success(process)


def _require_success(process: Any) -> None:
    """Raise BackupError, with the last lines that the program printed, if it fails."""
    if status := process.wait():
        said = process.stderr.read().decode(errors="replace").split("\n")
        raise BackupError(f"{' / '.join(filter(None, said[-4:]))} (exit status {status})")
