"""Operations for migrations beside Alembic's own."""

from __future__ import annotations

from alembic import op

LOCK_WAIT = 3.0
"""Seconds a step waits for a lock on a table: while it waits, other statements on the table queue behind it."""


def index_concurrently(name: str, definition: str) -> None:
    """Create an index without blocking writes. ``definition``: what follows its name, ``ON moves (id) WHERE …``.

    It runs outside a transaction, so it is alone in its migration, and first drops what an interrupted try left. It
    waits without a limit, as no statement queues behind it (PostgreSQL 18 manual, CREATE INDEX, read 2026-11-25).
    """
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = 0")
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
        op.execute(f"CREATE INDEX CONCURRENTLY {name} {definition}")
        op.execute(f"SET lock_timeout = {int(LOCK_WAIT * 1000)}")
