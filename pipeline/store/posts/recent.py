"""Whether requests make posts now, beside imports."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.database import row

MOST = 5_000
"""Posts that are looked at."""


def has_requests(c: Connection, since: datetime) -> bool:
    """Return whether one of the newest posts, made after *since*, is of no import.

    It walks along the ids, which begin with the time (`new_id`); the order keeps the planner from scanning the table.
    """
    found = row(
        c,
        """SELECT import_id FROM (SELECT import_id FROM posts WHERE id > :since ORDER BY id DESC LIMIT :most) newest
           WHERE import_id IS NULL LIMIT 1""",
        since=UUID(int=int(since.timestamp() * 1000) << 80),
        most=MOST,
    )
    return found is not None
