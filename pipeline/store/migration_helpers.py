"""What migrations may use beside Alembic's own operations."""

from __future__ import annotations

from alembic import op

LOCK_WAIT = 3.0
"""Seconds a step waits for a lock on a table: as long as it waits, everybody else queues behind it."""


def index_concurrently(name: str, definition: str) -> None:
    """Makes an index while writers go on. ``definition``: what follows its name, ``ON moves (id) WHERE …``.

    Outside any transaction, so alone in its migration: what an earlier try left half made goes first. It may wait as
    long as it has to: nobody queues behind it (PostgreSQL 18 manual, CREATE INDEX, read 2026-11-25).
    """
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = 0")
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
        op.execute(f"CREATE INDEX CONCURRENTLY {name} {definition}")
        op.execute(f"SET lock_timeout = {int(LOCK_WAIT * 1000)}")
