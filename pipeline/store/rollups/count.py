"""How many posts of each status a reader has: known without counting them (``counts``, ``spans``, ``account_sets``)."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.deliveries.ownership import Accounts
from pipeline.store.rollups.account_sets import counted_for
from pipeline.store.rollups.time_buckets import counted_within
from pipeline.store.rollups.totals_by_status import counted


def count_by_status(
    c: Connection,
    workspace: UUID,
    since: datetime | None = None,
    until: datetime | None = None,
    accounts: Accounts = None,
) -> dict[str, int]:
    """How many posts of a workspace there are of each status, as a reader bound to ``accounts`` sees them."""
    if accounts is not None:
        return counted_for(c, workspace, list(accounts), since, until)
    if since is None and until is None:
        return counted(c, workspace)
    return counted_within(c, workspace, since, until)
