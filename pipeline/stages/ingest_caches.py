"""What the groups before asked for already, and what of it still holds. For one thread."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.accounts.accounts import AccountRow
from pipeline.store.checks.checks import Check
from pipeline.store.posts import insert_batch as store
from pipeline.store.posts.insert_batch import Link

MOST = 10_000
"""Accounts, and checks, that are remembered; then all of them are forgotten."""


class KnownAccounts:
    """Reads an account only when its row is another than the one that was read before: each change makes a new one."""

    def __init__(self) -> None:
        self._known: dict[UUID, tuple[str, AccountRow]] = {}

    def find(self, c: Connection, ids: Collection[UUID]) -> tuple[datetime, dict[UUID, AccountRow]]:
        """The database's clock, and these accounts as they stand, whosever they are.

        Whether a caller may know of one is the caller's workspace's question.
        """
        now, versions = store.find_versions(c, ids)
        changed = [i for i, version in versions.items() if self._known.get(i, ("",))[0] != version]
        if changed:
            if len(self._known) + len(changed) > MOST:
                changed = list(versions)
                self.forget()
            self._known |= store.find_accounts(c, changed)
        return now, {i: self._known[i][1] for i in versions}

    def forget(self) -> None:
        """All of them."""
        self._known = {}


class GoodChecks:
    """Asks the database for the checks it does not remember: what was found good stays so until it is too old.

    A decided check is never changed and never deleted, so there is nothing to miss by not asking again.
    """

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
