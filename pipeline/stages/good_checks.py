"""Good checks that were asked for before: what was found good stays so until it is too old to be used again.

A decided check is never changed and never deleted, so there is nothing to miss by not asking again. For one thread.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import Connection

from pipeline.store import group as store
from pipeline.store.checks import Check
from pipeline.store.group import Link

MOST = 10_000
"""Checks that are remembered; then all are forgotten."""


class GoodChecks:
    """Asks the database for what it does not remember."""

    def __init__(self, fresh: timedelta) -> None:
        """``fresh``: how old a check may be."""
        self._fresh = fresh
        self._known: dict[Link, tuple[Check, datetime]] = {}

    def find(self, c: Connection, links: Collection[Link], now: datetime) -> dict[Link, Check]:
        """The good check of each link that has one. ``now``: the database's."""
        found, unknown = {}, []
        for link in links:
            check, decided_at = self._known.get(link, (None, now))
            if check is not None and decided_at > now - self._fresh:
                found[link] = check
            else:
                unknown.append(link)
        if not unknown:
            return found
        asked = store.find_good(c, unknown, self._fresh)
        if len(self._known) + len(asked) > MOST:
            self.forget()
        self._known |= asked
        return found | {link: check for link, (check, _) in asked.items()}

    def forget(self) -> None:
        """All of it: somebody may have meddled with the tables."""
        self._known = {}
