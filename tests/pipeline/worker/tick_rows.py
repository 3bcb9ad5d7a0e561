"""The rows of table ``ticks`` as tests set and read them."""

from __future__ import annotations

from config.settings import Settings
from pipeline.broker.queues import list_ticks
from pipeline.store.database import Database, rows


def hold_ticks(database: Database, s: Settings) -> None:
    """Let no process send a periodic task, so that a test's messages are the only ones."""
    with database.begin() as c:
        rows(
            c,
            """INSERT INTO ticks (name, next_at)
               SELECT n, now() + interval '1 day' FROM unnest(CAST(:names AS text[])) AS n RETURNING name""",
            names=[tick.name for tick in list_ticks(s)],
        )
