"""Reference of `bulk`: a bare COPY of the rows that an import stored, into the same tables of another database."""

from __future__ import annotations

import time
from collections.abc import Mapping

import psycopg
from psycopg import sql

from tests.bench.environment import BenchEnvironment
from tests.conftest import TEMPLATE, database
from tests.stack import Stack

PARENTS = ("workspaces", "keys", "accounts", "checks", "imports")
"""Tables that foreign keys of the copied rows refer to, in this order."""
_POSTS = "(SELECT id FROM posts WHERE import_id = {id})"
COPIED: Mapping[str, str] = {
    "import_rows": "import_id = {id}",
    "posts": "import_id = {id}",
    "replays": f"post_id IN {_POSTS}",
    "deliveries": f"post_id IN {_POSTS}",
    "moves": "delivery_id IN (SELECT d.id FROM deliveries d JOIN posts p ON p.id = d.post_id WHERE p.import_id = {id})",
    "post_checks": f"post_id IN {_POSTS}",
}
"""The tables, and which of their rows an import stored."""


def copy_again(environment: BenchEnvironment, stack: Stack, identity: str) -> dict[str, float]:
    """Return the seconds that COPY takes for the rows of an import, by table; the indexes and constraints are ours."""
    source = _connect(stack.context.settings.store.url.get_secret_value())
    with source, database(environment.engines, TEMPLATE) as url, _connect(url) as target:
        for table in PARENTS:
            _copy(source, target, table, "true")
        seconds = {}
        for table, condition in COPIED.items():
            began = time.monotonic()
            waited = _copy(source, target, table, condition.format(id=f"'{identity}'"))
            seconds[table] = time.monotonic() - began - waited
    return seconds


def _connect(url: str) -> psycopg.Connection:
    return psycopg.connect(url.replace("+psycopg", ""), autocommit=True)


def _copy(source: psycopg.Connection, target: psycopg.Connection, table: str, condition: str) -> float:
    """Copy rows; return the seconds it took to read them."""
    columns = sql.SQL(", ").join(map(sql.Identifier, _list_columns(source, table)))
    chosen = sql.SQL("COPY (SELECT {} FROM {} WHERE {}) TO STDOUT (FORMAT binary)").format(
        columns,
        sql.Identifier(table),
        sql.SQL(condition),
    )
    began = time.monotonic()
    with source.cursor().copy(chosen) as reading:
        pieces = list(reading)
    read = time.monotonic() - began
    with target.cursor() as cursor:
        stored = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(sql.Identifier(table), columns)
        if table in PARENTS:
            cursor.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))
        with cursor.copy(stored) as writing:
            for piece in pieces:
                writing.write(piece)
    return read


def _list_columns(source: psycopg.Connection, table: str) -> list[str]:
    """Return the columns that can be written: those of no generated identity."""
    found = source.execute(
        """SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped
             AND attidentity = '' AND attgenerated = '' ORDER BY attnum""",
        [table],
    )
    return [name for (name,) in found]
