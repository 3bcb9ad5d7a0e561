"""First reference of `POST /posts`: the same server and statements, rolled back instead of committed.

It saves the wait for the disk and pays for BEGIN and ROLLBACK, which a single statement does not need. For benchmarks
only: it answers 201 and keeps nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection

from pipeline.api.app import create_app
from pipeline.domain.neighbours import Neighbour
from pipeline.store.deliveries.daily_quota import DailyQuota
from pipeline.store.posts import insert_batch as group
from pipeline.store.posts.insert_batch import NewPost

STORING = group.store_posts  # fails at import if the name changes, so that the reference never stores


def _rolled_back(
    c: Connection,
    posts: Sequence[NewPost],
    window: timedelta,
    days: Sequence[tuple[UUID, datetime, DailyQuota]],
    gaps: Mapping[UUID, timedelta],
) -> tuple[set[UUID], list[int], dict[tuple[int, UUID], list[Neighbour]]]:
    c.exec_driver_sql("BEGIN")
    try:
        return STORING(c, posts, window, days, gaps)
    finally:
        c.exec_driver_sql("ROLLBACK")


group.store_posts = _rolled_back  # type: ignore[assignment]
app = create_app()
