"""Back up and restore a test database in each way an operator can: file copy, dump, rows."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from sqlalchemy import Connection, make_url

from pipeline.embedded.postgres import ROLE, find_binary
from pipeline.store.database import Database, rows
from tests.conftest import Engines


class Backups:
    """Backups of one database. Copying or replacing files ends its sessions, as a server stop does."""

    def __init__(self, engines: Engines, url: str, folder: Path) -> None:
        self._url = url
        self._engines, self._dump = engines, folder / "slipway.dump"
        self._name = make_url(url).database or ""
        self._copy = f"{self._name}_backup"

    def copy_files(self) -> None:
        """Copy the database's files, as the server's CREATE DATABASE … TEMPLATE does."""
        self._alone(
            f"DROP DATABASE IF EXISTS {self._copy}", f"CREATE DATABASE {self._copy} TEMPLATE {self._name}"
        )

    def restore_files(self) -> None:
        """Replace the database by the copy of its files."""
        self._alone(
            f"DROP DATABASE {self._name} WITH (FORCE)", f"CREATE DATABASE {self._name} TEMPLATE {self._copy}"
        )

    def dump(self) -> None:
        """Dump the database with `pg_dump` while it is in use."""
        self._tool("pg_dump", "--format=custom", f"--file={self._dump}", self._name)

    def restore_dump(self) -> None:
        """Replace the database by the dump, with `pg_restore`."""
        self._alone(f"DROP DATABASE {self._name} WITH (FORCE)", f"CREATE DATABASE {self._name}")
        self._tool("pg_restore", "--exit-on-error", f"--dbname={self._name}", str(self._dump))

    def drop_copy(self) -> None:
        """Drop the copy of the files."""
        self._alone(f"DROP DATABASE IF EXISTS {self._copy}")

    def _alone(self, *statements: str) -> None:
        with self._engines.postgres.connect() as c:
            c.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [self._name]
            )
            for statement in statements:
                c.execute(statement)  # only names from this module

    def _tool(self, name: str, *words: str) -> None:
        to = [f"--host={self._engines.postgres.sockets}", f"--username={ROLE}", "--no-password"]
        subprocess.run([find_binary(name), *to, *words], check=True, capture_output=True, timeout=60)

    def rows(self) -> None:
        """Back up the rows only."""
        database = Database(self._url)
        back_up_rows(database)
        database.close()

    def restore_row_copy(self) -> None:
        """Restore the rows into the existing tables."""
        database = Database(self._url)
        restore_rows(database)
        database.close()


METHODS: Mapping[str, tuple[Callable[[Backups], None], Callable[[Backups], None]]] = {
    "files": (Backups.copy_files, Backups.restore_files),
    "dump": (Backups.dump, Backups.restore_dump),
    "rows": (Backups.rows, Backups.restore_row_copy),
}


def back_up_rows(database: Database) -> None:
    """Copy all rows into the schema ``backup``: faster than a dump, for tests that only need older rows."""
    with database.begin() as c:
        c.exec_driver_sql("DROP SCHEMA IF EXISTS backup CASCADE")
        c.exec_driver_sql("CREATE SCHEMA backup")
        for table in _tables(c):
            c.exec_driver_sql(f"CREATE TABLE backup.{table} AS TABLE {table}")


def restore_rows(database: Database) -> None:
    """Replace all rows by those of the schema ``backup``, as `pg_restore --data-only` does."""
    with database.begin() as c:
        c.exec_driver_sql("SET LOCAL session_replication_role = replica")  # no triggers, no foreign keys
        for table in _tables(c):
            c.exec_driver_sql(f"DELETE FROM {table}")  # noqa: S608  names out of the catalog
            c.exec_driver_sql(f"INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM backup.{table}")  # noqa: S608


def _tables(c: Connection) -> list[str]:
    found = rows(
        c, "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
    )
    return [r.tablename for r in found]


def drop_pool(database: Database) -> None:
    """Drop pooled connections that the server has ended, as the pool does itself after the first error."""
    database.engine.dispose()
