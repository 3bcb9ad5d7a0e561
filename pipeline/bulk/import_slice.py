"""A slice of an import: the chunks that one message does, one after the other."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from pipeline.bulk.judge import PostFormat
from pipeline.context import Context
from pipeline.domain.bulk_import import WORKING
from pipeline.domain.key_limits import KeyLimits
from pipeline.store.auth.daily_count import count_posts
from pipeline.store.auth.keys import Caller
from pipeline.store.imports import imports as store
from pipeline.store.imports.imports import Import

LEASE = timedelta(minutes=1)
"""After which another worker may take the import of one that died; each chunk extends it."""


class DayFull(Exception):
    """The key may send no more posts today."""


@dataclass(kw_only=True, slots=True)
class ImportSlice:
    """One claim of an import. ``job``: as it stands after the last chunk that was committed."""

    context: Context
    job: Import
    caller: Caller
    form: PostFormat
    until: float = 0.0
    """By the monotonic clock: no chunk begins later, but for the first."""

    def may_go_on(self) -> bool:
        """Return whether there is time for one more chunk: not once the worker shuts down."""
        return time.monotonic() < self.until and self.context.shutdown.time_left() is None

    @property
    def day_limit(self) -> int:
        """Posts that the key may send in a day; 0: no limit."""
        if self.caller.stored_key is None:
            return 0
        server = KeyLimits(posts_per_day=self.context.settings.api.posts_per_day)
        return self.caller.limits.over(server).posts_per_day or 0

    def count_room(self, c: Connection) -> int:
        """Return how many posts the key may still send today. Only with a limit."""
        return max(0, self.day_limit - count_posts(c, self.caller.key_id, 0, self.day_limit).posts)

    def count_rows(self, c: Connection, rows: int) -> None:
        """Count rows as posts that the key sends today. Raises DayFull if there is no room for all of them."""
        if self.day_limit and not count_posts(c, self.caller.key_id, rows, self.day_limit).is_allowed:
            raise DayFull

    def hold(self) -> None:
        """End the slice; without room for a post today, hold the import until tomorrow."""
        with self.context.database.begin() as c:
            if not store.lock_step(c, self.job):
                return
            count = count_posts(c, self.caller.key_id, 0, self.day_limit)
            if count.posts < self.day_limit:
                store.finish_step(c, self.job)
                return
            rest = timedelta(seconds=count.reset)
            until = (datetime.now(UTC) + rest).replace(microsecond=0)
            message = f"The key may send {self.day_limit:,} posts a day (UTC), and none are left today."
            held = {"code": "rate_limited", "message": message, "until": until.isoformat()}
            store.finish_step(c, self.job, rest, held=held)

    def finish_chunk(self, c: Connection, **changes: Any) -> Import | None:
        """Store where the import stands after a chunk; None: the claim is released, and the slice is over.

        *changes*: as in ``finish_step``.
        """
        goes_on = changes.get("state", self.job.state) in WORKING and self.may_go_on()
        after = store.finish_step(c, self.job, LEASE if goes_on else None, **changes)
        return after if goes_on else None
