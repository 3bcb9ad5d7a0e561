"""Connections to the ledger: two pools per process, short transactions, statements as plain SQL."""

from __future__ import annotations

import hashlib
import os
import re
import threading
import time
from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from functools import cache, lru_cache
from types import UnionType
from typing import Any, ClassVar, TypeVar, get_args, get_origin, get_type_hints
from uuid import UUID

import psycopg
from psycopg import RawCursor
from psycopg.rows import no_result
from psycopg.types.json import Jsonb, set_json_loads
from pydantic_core import from_json
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from pipeline.store.revision import find_code_revision

T = TypeVar("T")

set_json_loads(from_json)  # five times as fast as json: a page of posts has hundreds of values
IDLE = 15.0
"""Seconds a transaction may be idle before the server ends it.

A process that is frozen or cut off in a transaction would otherwise hold its locks until the server gives the machine
up: two hours (Linux, tcp_keepalive_time).
"""
FROZEN = 1.5
"""The same for transactions whose locks hold up the schedule: with the next sweep, rows follow within three seconds."""

QUERY_CANCELED = "57014"
"""query_canceled: a statement took longer than its time limit."""
_READ_ONLY = "25006"
"""read_only_sql_transaction: a replica, or a primary that was demoted (PostgreSQL 18, appendix A)."""


class Unreachable(Exception):
    """The database is away or takes no writes. Nothing was committed, unless the connection broke during the commit."""


class TimedOut(Unreachable):
    """A statement took longer than its time limit: a table is locked, or the database is overloaded."""


class Database:
    """Two pools of connections, for transactions and for reads. No platform is called inside a transaction.

    Behind a pooler in transaction mode nothing is set for a session; ``slipway doctor`` says what it has to set.
    """

    def __init__(
        self, url: str, *, pool: int = 12, wait: float = 5, idle: float = IDLE, frozen: float = FROZEN
    ) -> None:
        self.frozen = frozen
        self._autocommit = _create_engine(url, pool, wait, _SESSION.format(idle=int(idle * 1000)))
        self.engine: Engine = self._autocommit.execution_options(isolation_level="READ COMMITTED")
        self._reads = _create_engine(url, pool, wait, _SESSION.format(idle=int(idle * 1000)) + _READ_SESSION)

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """Open a transaction: committed at the end, rolled back on any error. Raises Unreachable."""
        with _unreachable(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def begin_brief(self) -> Iterator[Connection]:
        """Open a transaction whose locks others wait for: it ends soon if this process freezes in it."""
        with self.begin() as connection:
            execute(connection, f"SET LOCAL idle_in_transaction_session_timeout = {int(self.frozen * 1000)}")
            yield connection

    @contextmanager
    def begin_read(self, seconds: float) -> Iterator[Connection]:
        """Open a transaction that may only read, and whose statements end within *seconds*. Raises Unreachable."""
        with self.begin() as connection:
            execute(
                connection, f"SET TRANSACTION READ ONLY; SET LOCAL statement_timeout = {int(seconds * 1000)}"
            )
            yield connection

    @contextmanager
    def once(self) -> Iterator[Connection]:
        """Open a connection for a single statement, which commits by itself. Raises Unreachable."""
        with _unreachable(), self._autocommit.connect() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a connection that reads: each statement sees the data committed when it starts. Raises Unreachable.

        Without BEGIN and COMMIT a page of posts takes two exchanges with the server less. Each statement has one
        generic plan, as it takes longer to plan than to execute.
        """
        with _unreachable(), self._reads.connect() as connection:
            yield connection

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()
        self._reads.dispose()


_SESSION = (
    "SET idle_in_transaction_session_timeout = {idle}; SET tcp_keepalives_idle = 10; "
    "SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3;"
)
"""How soon the server gives up a silent client."""
_READ_SESSION = "SET plan_cache_mode = force_generic_plan; SET default_transaction_read_only = on;"


def _create_engine(url: str, pool: int, wait: float, session: str) -> Engine:
    """Return an engine without connections; *session* is set on each once connected, but never on a pooler's."""
    engine = create_engine(
        url,
        isolation_level="AUTOCOMMIT",
        pool_size=pool,
        max_overflow=0,
        pool_timeout=wait,
        pool_use_lifo=True,  # reuses few connections, whose server processes hold plans and caches
        pool_recycle=1800,
        connect_args={
            "connect_timeout": 5,
            "application_name": f"slipway/{find_code_revision()}",  # `slipway migrate` asks who is connected
            "prepare_threshold": 2,
            # a silent connection is given up within seconds; it would block its thread for hours
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 20_000,
        },
    )

    def set_up(driver: psycopg.Connection[Any], _record: object) -> None:
        if not _has_pooler(driver):
            driver.execute(session.encode())

    event.listen(engine, "connect", set_up)
    return engine


def has_pooler(connection: Connection) -> bool:
    """Return True if a connection leads to a pooler (PgBouncer) and not to PostgreSQL itself."""
    driver: Any = connection.connection.driver_connection
    return _has_pooler(driver)


def _has_pooler(driver: psycopg.Connection[Any]) -> bool:
    """Compare the process that serves with the one that answered the login: a pooler answers with one of its own.

    In transaction mode each transaction may have another of the pooler's connections, and what is set for a session
    would reach whoever has that connection next: writes of others would fail as READ ONLY (PgBouncer 1.24.1, seen
    2026-12).
    """
    [serving] = driver.execute("SELECT pg_backend_pid()").fetchone() or [None]
    return bool(serving != driver.info.backend_pid)


@contextmanager
def _unreachable() -> Iterator[None]:
    """Raise Unreachable for every error that means the database is unavailable."""
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeout) as error:
        sqlstate = getattr(getattr(error, "orig", None), "sqlstate", None)
        raise (TimedOut if sqlstate == QUERY_CANCELED else Unreachable)(type(error).__name__) from error
    except DBAPIError as error:
        if error.connection_invalidated or getattr(error.orig, "sqlstate", None) == _READ_ONLY:
            raise Unreachable(type(error).__name__) from error
        raise


def rows(connection: Connection, sql: str, /, **values: Any) -> list[Any]:
    """Execute one statement and return all rows."""
    return _execute(connection, sql, values).fetchall()


def plan_and_read(connection: Connection, sql: str, /, **values: Any) -> list[Any]:
    """Execute one statement by a plan of its own: one that the connection keeps may be of a time of small tables."""
    return _execute(connection, sql, values, prepare=False).fetchall()


def is_violation(error: IntegrityError, constraint: str) -> bool:
    """Return True if this constraint is the one that was violated."""
    return isinstance(error.orig, psycopg.Error) and error.orig.diag.constraint_name == constraint


def row(connection: Connection, sql: str, /, **values: Any) -> Any | None:
    """Execute one statement and return its first row, or None."""
    return _execute(connection, sql, values).fetchone()


def has_row(connection: Connection, sql: str, /, **values: Any) -> bool:
    """Execute one statement. Return True if it returned a row."""
    return row(connection, sql, **values) is not None


def require_row(connection: Connection, missing: str, sql: str, /, **values: Any) -> Any:
    """Execute one statement and return its first row. Raises LookupError, with *missing*, if there is none."""
    found = row(connection, sql, **values)
    if found is None:
        raise LookupError(missing)
    return found


def execute(connection: Connection, sql: str, /, **values: Any) -> int:
    """Execute one statement and return how many rows it changed, or found."""
    return _execute(connection, sql, values).rowcount


def require_value(
    connection: Connection,
    kind: type[T],  # noqa: ARG001  for the types
    missing: str,
    sql: str,
    /,
    **values: Any,
) -> T:
    """Execute one statement and return the first column of its first row. Raises LookupError, with *missing*."""
    value: T = require_row(connection, missing, sql, **values)[0]
    return value


def find_value(connection: Connection, kind: type[T], sql: str, /, **values: Any) -> T | None:  # noqa: ARG001  for the types
    """Execute one statement and return the only column of its first row, which is of this type; None without a row."""
    found = row(connection, sql, **values)
    value: T | None = None if found is None else found[0]
    return value


def read_number(connection: Connection, sql: str, /, **values: Any) -> int:
    """Execute one statement and return the only column of its first row; 0 without a row."""
    return int(find_value(connection, int, sql, **values) or 0)


def read_column(connection: Connection, sql: str, /, **values: Any) -> list[Any]:
    """Execute one statement and return the first column of all rows."""
    return [r[0] for r in rows(connection, sql, **values)]


def read_all(connection: Connection, model: Callable[..., T], sql: str, /, **values: Any) -> list[T]:
    """Execute one statement and return each row as a *model*."""
    return [build(model, r) for r in rows(connection, sql, **values)]


def read_one(connection: Connection, model: Callable[..., T], sql: str, /, **values: Any) -> T | None:
    """Execute one statement and return its first row as a *model*, or None."""
    found = row(connection, sql, **values)
    return None if found is None else build(model, found)


def build(model: Callable[..., T], found: Any, **more: Any) -> T:
    """Return a row as a *model*, by the names of its columns, and *more* values; enumerations as their members."""
    values = {**found._mapping, **more}
    return model(
        **{
            name: values[name] if kind is None or values[name] is None else kind(values[name])
            for name, kind in _find_kinds(model).items()
            if name in values
        }
    )


def list_columns(model: Callable[..., Any]) -> str:
    """Return the columns that make a *model*, as SQL."""
    return ", ".join(_find_kinds(model))


@cache
def _find_kinds(model: Callable[..., Any]) -> Mapping[str, type[Enum] | None]:
    """Return the fields of a class, each with the enumeration whose members are its values, if they are."""
    hints = {name: hint for name, hint in get_type_hints(model).items() if hint is not ClassVar}
    parts = {name: get_args(one) if get_origin(one) is UnionType else [one] for name, one in hints.items()}
    return {
        name: next((one for one in some if isinstance(one, type) and issubclass(one, Enum)), None)
        for name, some in parts.items()
    }


def insert(
    connection: Connection, table: str, /, *, returning: str = "1 AS one", conflict: str = "", **values: Any
) -> Any:
    """Insert a row, each value into the column of its name, and return the columns of *returning*.

    *conflict*: the SQL after ON CONFLICT, ``(name) DO NOTHING``: None where there is such a row.
    """
    bound = ", ".join(f":{name}" for name in values)
    rest = f"{conflict and f'ON CONFLICT {conflict}'} RETURNING {returning}"
    return row(connection, f"INSERT INTO {table} ({', '.join(values)}) VALUES ({bound}) {rest}", **values)


def run_many(connection: Connection, sql: str, /, values: Sequence[Mapping[str, Any]]) -> list[Any | None]:
    """Execute one statement for each set of values, pipelined; return the first row of each, or None.

    Only inside a transaction.
    """
    with _translate_errors(connection, sql):
        cursor, (numbered, names) = _cursor(connection), _to_driver_sql(sql)
        cursor.executemany(numbered, [[one[name] for name in names] for one in values], returning=True)
        found = [cursor.fetchone()]
        while cursor.nextset():
            found.append(cursor.fetchone())
        return found


def _execute(
    connection: Connection, sql: str, values: Mapping[str, Any], *, prepare: bool | None = None
) -> RawCursor[Any]:
    """Execute on the driver's cursor: SQLAlchemy describes forty columns again for each result (measured)."""
    with _translate_errors(connection, sql):
        numbered, names = _to_driver_sql(sql)
        return _cursor(connection).execute(numbered, [values[name] for name in names], prepare=prepare)


def _cursor(connection: Connection) -> RawCursor[Any]:
    driver: Any = connection.connection.driver_connection
    return RawCursor(driver, row_factory=_make_rows)


@contextmanager
def _translate_errors(connection: Connection, sql: str) -> Iterator[None]:
    """Raise the driver's errors as SQLAlchemy's, without the values, which may be a client's."""
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


def _make_rows(cursor: Any) -> Any:
    """Make rows whose fields are read by name; ``_mapping`` is all of them."""
    found = cursor.pgresult
    if found is None or not found.nfields:
        return no_result
    return _row_type(*(found.fname(n) for n in range(found.nfields)))._make


@lru_cache(maxsize=500)
def _row_type(*names: bytes) -> Any:
    plain = namedtuple("Row", [name.decode() for name in names], rename=True)  # type: ignore[misc]  # noqa: PYI024  the result names its fields
    return type("Row", (plain,), {"__slots__": (), "_mapping": property(lambda row: row._asdict())})


@lru_cache(maxsize=500)
def _to_driver_sql(sql: str) -> tuple[str, Sequence[str]]:
    """Translate ``:name`` to PostgreSQL's ``$1``; return the names in that order.

    SQLAlchemy's text() is compiled at each call, and psycopg's other cursors parse a statement of more than 4,096
    characters or 50 values again at each; this is cached.
    """
    numbers: dict[str, int] = {}
    numbered = _NAME.sub(lambda found: f"${numbers.setdefault(found[1], len(numbers) + 1)}", sql)
    return numbered, tuple(numbers)


_NAME = re.compile(r"(?<![:\w]):([a-z_][a-z_0-9]*)\b")


def jsonb(value: Any) -> Jsonb | None:
    """Adapt a value to a jsonb column; None stays NULL."""
    return None if value is None else Jsonb(value)


def hash_text(text: str) -> bytes:
    """Return the SHA-256 of a text, also of one that is not valid Unicode."""
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()


_lock = threading.Lock()
_last = 0


def new_id() -> UUID:
    """Return a UUIDv7 (RFC 9562, May 2024): ordered by time, so that new rows go to the end of their index.

    The 12 bits after the version are 4096ths of a millisecond (section 6.2, method 3), and ids of one process always
    increase.
    """
    global _last  # noqa: PLW0603  the last fraction used
    with _lock:
        _last = now = max(time.time_ns() * 4096 // 1_000_000, _last + 1)
    millis, fraction = divmod(now, 4096)
    random = int.from_bytes(os.urandom(8), "big") >> 2
    return UUID(int=(millis << 80) | (0x7 << 76) | (fraction << 64) | (0b10 << 62) | random)
