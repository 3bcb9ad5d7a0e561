"""The connection to the ledger: one engine a process, short transactions, the database's clock."""

from __future__ import annotations

import os
import re
import threading
import time
from collections import namedtuple
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any
from uuid import UUID

import psycopg
from psycopg import Cursor
from psycopg.rows import no_result
from psycopg.types.json import Jsonb, set_json_loads
from pydantic_core import from_json
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from pipeline.store.revision import revision_of_code

set_json_loads(from_json)  # in a fifth of the time: a page of posts has hundreds of values
IDLE = 15.0
"""Seconds a transaction may stand open with nothing asked. Whoever is frozen or cut off in the middle of one would else
hold what it has locked for as long as the server waits for its machine: two hours (Linux, tcp_keepalive_time)."""


class Unreachable(Exception):
    """The database cannot be used right now. Nothing was committed, unless it went away in the commit itself."""


class Database:
    """One engine. ``begin`` is a transaction; nothing is ever sent to a platform inside one."""

    def __init__(self, url: str, *, pool: int = 12, wait: float = 5, idle: float = IDLE) -> None:
        self._autocommit = create_engine(
            url,
            isolation_level="AUTOCOMMIT",
            pool_size=pool,
            max_overflow=0,
            pool_timeout=wait,
            pool_use_lifo=True,  # few connections, whose server processes have plans and caches at hand
            pool_recycle=1800,
            connect_args={
                "connect_timeout": 5,
                "application_name": f"slipway/{revision_of_code()}",  # `slipway migrate` asks who is connected
                "prepare_threshold": 2,
                # a line that goes silent is given up within seconds, or it would hold its thread for hours
                "keepalives_idle": 10,
                "keepalives_interval": 5,
                "keepalives_count": 3,
                "tcp_user_timeout": 20_000,
            },
        )
        event.listen(self._autocommit, "connect", lambda driver, _record: _limit_silence(idle, driver))
        self.engine: Engine = self._autocommit.execution_options(isolation_level="READ COMMITTED")

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


def _limit_silence(idle: float, driver: psycopg.Connection[Any]) -> None:
    """Tells the server how soon to give up a client that says nothing.

    Once connected: poolers take no options on connecting.
    """
    driver.execute(
        f"SET idle_in_transaction_session_timeout = {int(idle * 1000)}; SET tcp_keepalives_idle = 10; "
        "SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3".encode()
    )


def rows(connection: Connection, sql: str, /, **values: Any) -> list[Any]:
    """All rows of one statement."""
    return _execute(connection, sql, values).fetchall()


def row(connection: Connection, sql: str, /, **values: Any) -> Any | None:
    """The first row of one statement, or None."""
    return _execute(connection, sql, values).fetchone()


def run_many(connection: Connection, sql: str, /, values: Sequence[Mapping[str, Any]]) -> list[Any | None]:
    """One statement for each of several sets of values, sent together; the first row of each, or None.

    Only in a transaction: one commit for all of them, or none.
    """
    with _told(connection, sql):
        cursor = _cursor(connection)
        cursor.executemany(_driver(sql), values, returning=True)
        found = [cursor.fetchone()]
        while cursor.nextset():
            found.append(cursor.fetchone())
        return found


def _execute(connection: Connection, sql: str, values: Mapping[str, Any]) -> Cursor[Any]:
    """On the driver's own cursor: SQLAlchemy would describe forty columns anew for each row it reads (measured)."""
    with _told(connection, sql):
        return _cursor(connection).execute(_driver(sql), values)


def _cursor(connection: Connection) -> Cursor[Any]:
    driver: Any = connection.connection.driver_connection
    return driver.cursor(row_factory=_named)  # type: ignore[no-any-return]


@contextmanager
def _told(connection: Connection, sql: str) -> Iterator[None]:
    """The driver's errors as SQLAlchemy raises them, without the values: they may be a client's."""
    try:
        yield
    except psycopg.Error as error:
        dialect = connection.dialect
        gone = dialect.is_disconnect(error, connection.connection, None)  # type: ignore[arg-type]  # psycopg.Error is one
        if gone:
            connection.invalidate(error)
        raise DBAPIError.instance(
            sql, {}, error, psycopg.Error, hide_parameters=True, connection_invalidated=gone, dialect=dialect
        ) from error


def _named(cursor: Any) -> Any:
    """A row factory: fields by name, ``_mapping`` for all of them."""
    found = cursor.pgresult
    if found is None or not found.nfields:
        return no_result
    return _row_type(*(found.fname(n) for n in range(found.nfields)))._make


@lru_cache(maxsize=500)
def _row_type(*names: bytes) -> Any:
    plain = namedtuple("Row", [name.decode() for name in names], rename=True)  # type: ignore[misc]  # noqa: PYI024  names come with the answer
    return type("Row", (plain,), {"__slots__": (), "_mapping": property(lambda row: row._asdict())})


@lru_cache(maxsize=500)
def _driver(sql: str) -> str:
    """The statement in psycopg's spelling (``:name`` -> ``%(name)s``): text() would be compiled anew for each call."""
    return _NAME.sub(r"%(\1)s", sql.replace("%", "%%"))


_NAME = re.compile(r"(?<![:\w]):([a-z_]+)\b")


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
