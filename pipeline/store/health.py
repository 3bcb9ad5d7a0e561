"""The database as a whole: whether it responds, its clock, and limits of a transaction."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from pipeline.store.database import QUERY_CANCELED, find_value, has_row, require_value, row

T = TypeVar("T")
CHECK_SECONDS = 2.0
"""Seconds that one check of `slipway doctor`, or one read of the attention list, may take."""


def ping(c: Connection) -> bool:
    """Return True if the database executes a statement. Raises Unreachable."""
    return has_row(c, "SELECT 1 AS one")


def database_now(c: Connection) -> datetime:
    """Return the database's clock: the start of this transaction."""
    return require_value(c, datetime, "The database returned no time.", "SELECT now() AS now")


def find_unlimited_idler(c: Connection) -> str | None:
    """Return this connection's role, quoted for SQL, if its transactions may idle for ever; None if they may not."""
    sql = """SELECT quote_ident(current_user) AS name
             WHERE current_setting('idle_in_transaction_session_timeout') = '0'"""
    return find_value(c, str, sql)


def set_statement_timeout(c: Connection, longest: timedelta) -> None:
    """Cancel any further statement of this transaction after this long; it raises Unreachable."""
    row(c, "SELECT set_config('statement_timeout', :ms, true)", ms=str(int(longest.total_seconds() * 1000)))


def read_within(c: Connection, read: Callable[[Connection], T], longest: timedelta) -> T | None:
    """Return what *read* returns; None, with the transaction intact, if a statement of it takes longer than this."""
    try:
        with c.begin_nested():
            set_statement_timeout(c, longest)
            return read(c)
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", None) != QUERY_CANCELED:
            raise
        return None
