"""How many posts of each status a reader has: from rollups, or, for a restricted key, counted up to a cap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.deliveries.ownership import Accounts
from pipeline.store.posts.pages import count_restricted
from pipeline.store.rollups.time_buckets import count_all, count_between


@dataclass(frozen=True, slots=True)
class Totals:
    """Posts by public status; statuses without posts are left out."""

    by_status: Mapping[str, int]
    is_capped: bool = False
    """There may be more posts than were counted."""


def count_by_status(
    c: Connection,
    workspace: UUID,
    since: datetime | None = None,
    until: datetime | None = None,
    accounts: Accounts = None,
) -> Totals:
    """Count the posts that were created from ``since`` to ``until`` and that a key restricted to ``accounts`` sees."""
    if accounts is not None:
        return Totals(*count_restricted(c, workspace, accounts, since, until))
    if since is None and until is None:
        return Totals(count_all(c, workspace))
    return Totals(count_between(c, workspace, since, until))
