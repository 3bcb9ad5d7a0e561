"""The connection to the ledger: one engine a process, short transactions, the database's clock."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import namedtuple_row
from psycopg.types.json import Jsonb
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout


class Unreachable(Exception):
    """The database cannot be used right now. Nothing was committed, unless it went away in the commit itself."""


class Database:
    """One engine. ``begin`` is a transaction; nothing is ever sent to a platform inside one."""

    def __init__(self, url: str, *, pool: int = 12, wait: float = 5) -> None:
        self.engine: Engine = create_engine(
            url,
            pool_size=pool,
            max_overflow=0,
            pool_timeout=wait,
            pool_recycle=1800,
            connect_args={
                "connect_timeout": 5,
                "application_name": "slipway",
                "prepare_threshold": 2,
                # a line that goes silent is given up within seconds, or it would hold its thread for hours
                "keepalives_idle": 10,
                "keepalives_interval": 5,
                "keepalives_count": 3,
                "tcp_user_timeout": 20_000,
            },
        )
        self._autocommit = self.engine.execution_options(isolation_level="AUTOCOMMIT")

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """One transaction, committed at the end, rolled back on any error. Unreachable when the database is away."""
        with self._told(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (OperationalError, InterfaceError, PoolTimeout) as error:
            raise Unreachable(type(error).__name__) from error
        except DBAPIError as error:
            if error.connection_invalidated:
                raise Unreachable(type(error).__name__) from error
            raise

    @contextmanager
    def once(self) -> Iterator[Connection]:
        """For a single statement, which is its own transaction: committed when it returns, without BEGIN and COMMIT."""
        with self._told(), self._autocommit.connect() as connection:
            yield connection

    def close(self) -> None:
        """Gives all connections back."""
        self.engine.dispose()


@lru_cache(maxsize=500)
def _driver(sql: str) -> str:
    """The statement in psycopg's spelling (``:name`` -> ``%(name)s``): text() would be compiled anew for each call."""
    return _NAME.sub(r"%(\1)s", sql.replace("%", "%%"))


_NAME = re.compile(r"(?<![:\w]):([a-z_]+)\b")


def rows(connection: Connection, sql: str, /, **values: Any) -> list[Any]:
    """All rows of one statement."""
    return list(connection.exec_driver_sql(_driver(sql), values).all())


def row(connection: Connection, sql: str, /, **values: Any) -> Any | None:
    """The first row of one statement, or None."""
    return connection.exec_driver_sql(_driver(sql), values).first()


def plain_rows(connection: Connection, sql: str, /, **values: Any) -> list[Any]:
    """As ``rows``, straight from the driver: for the few statements where SQLAlchemy's part costs more than the rest.

    Raises Unreachable, and psycopg's own errors for what the database refuses.
    """
    line: psycopg.Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]
    try:
        with line.cursor(row_factory=namedtuple_row) as cursor:
            return cursor.execute(_driver(sql), values).fetchall()
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        if line.closed:
            connection.invalidate(error)
        raise Unreachable(type(error).__name__) from error


def jsonb(value: Any) -> Jsonb | None:
    """A value for a jsonb column; None stays NULL."""
    return None if value is None else Jsonb(value)


_lock = threading.Lock()
_last = 0


def new_id() -> UUID:
    """A UUIDv7 (RFC 9562, May 2024): time-ordered, so that new rows land at the end of their index.

    Its 12 bits after the version count 4096ths of a millisecond (section 6.2, method 3), so that ids of one process
    only ever go up.
    """
    global _last  # noqa: PLW0603  the last fraction used
    with _lock:
        _last = now = max(time.time_ns() * 4096 // 1_000_000, _last + 1)
    millis, fraction = divmod(now, 4096)
    random = int.from_bytes(os.urandom(8), "big") >> 2
    return UUID(int=(millis << 80) | (0x7 << 76) | (fraction << 64) | (0b10 << 62) | random)
