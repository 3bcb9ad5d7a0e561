"""The posts a key has sent today, counted in its row: a flushed broker does not reset the count."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.database import row

_TODAY = "(now() AT TIME ZONE 'UTC')::date"
_COUNTED = f"CASE WHEN counted_on = {_TODAY} THEN counted_posts ELSE 0 END"
_LEFT = "86400 - floor(extract(epoch FROM (now() AT TIME ZONE 'UTC')::time))"


@dataclass(frozen=True, kw_only=True, slots=True)
class DailyCount:
    """The count after a request. ``is_allowed`` False: nothing was counted."""

    is_allowed: bool
    posts: int
    """Posts of today (UTC)."""
    reset: int
    """Seconds until the next day begins."""


def count_posts(c: Connection, key: UUID, posts: int, limit: int) -> DailyCount:
    """Count *posts* for today, all or none: none if the day would have more than *limit*."""
    counted = row(
        c,
        f"""UPDATE keys SET counted_posts = {_COUNTED} + :posts, counted_on = {_TODAY}
            WHERE id = :key AND {_COUNTED} + :posts <= :limit
            RETURNING counted_posts AS posts, {_LEFT} AS reset""",
        key=key,
        posts=posts,
        limit=limit,
    )
    found = counted or row(
        c, f"SELECT {_COUNTED} AS posts, {_LEFT} AS reset FROM keys WHERE id = :key", key=key
    )
    if found is None:
        raise LookupError(f"There is no key {key}.")
    return DailyCount(is_allowed=counted is not None, posts=found.posts, reset=int(found.reset))
