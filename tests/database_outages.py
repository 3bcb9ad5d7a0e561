"""Outages of the database, each as a context manager: it hangs, is dead, or takes no writes, until the block ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import psutil

from pipeline.embedded.postgres import Postgres
from pipeline.store.database import Database
from tests.broker_outages import dead

__all__ = ["Outage", "dead", "hung", "locked", "read_only"]

Outage = Callable[[Postgres], AbstractContextManager[None]]


@contextmanager
def hung(postgres: Postgres) -> Iterator[None]:
    """The kernel accepts connections for it and keeps those that are open, and it answers nothing."""
    assert postgres.child is not None
    server = psutil.Process(postgres.child.pid)
    processes = [server, *server.children(recursive=True)]
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            process.resume()


@contextmanager
def read_only(postgres: Postgres) -> Iterator[None]:
    """It answers and takes no writes, as one whose disk is full, or a replica after a failover."""
    with postgres.connect() as connection:
        connection.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        connection.execute("SELECT pg_reload_conf()")
        try:
            yield
        finally:
            connection.execute("SET default_transaction_read_only = off")
            connection.execute("ALTER SYSTEM RESET default_transaction_read_only")
            connection.execute("SELECT pg_reload_conf()")


@contextmanager
def locked(database: Database, *tables: str) -> Iterator[None]:
    """Another connection holds these tables locked, for as long as the block takes."""
    with database.begin() as c:
        c.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
        c.exec_driver_sql(f"LOCK TABLE {', '.join(tables)}")
        yield
