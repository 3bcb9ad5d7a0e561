"""Posting times of accounts, and the times that their posts have taken."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.database import jsonb, require_row, require_value, rows


def lock_posting_times(c: Connection, account: UUID) -> Mapping[str, Any]:
    """Lock the account and return what is set of its posting times. Raises LookupError."""
    sql = "SELECT posting_times FROM accounts WHERE id = :id FOR NO KEY UPDATE"
    return require_value(c, dict, f"There is no account {account}.", sql, id=account)


def store_posting_times(c: Connection, account: UUID, times: Mapping[str, Any]) -> None:
    """Store what is set of an account's posting times."""
    sql = "UPDATE accounts SET posting_times = :times WHERE id = :id RETURNING id"
    require_row(c, f"There is no account {account}.", sql, id=account, times=jsonb(dict(times)))


def lock_accounts(c: Connection, accounts: Collection[UUID]) -> None:
    """Lock accounts in id order until the commit: whoever looks for their free times waits for the ones taken here."""
    rows(
        c,
        """SELECT id FROM accounts WHERE id = ANY(CAST(:ids AS uuid[])) ORDER BY id FOR NO KEY UPDATE""",
        ids=list(accounts),
    )


def list_taken(c: Connection, accounts: Collection[UUID], since: datetime) -> dict[UUID, list[datetime]]:
    """Return the due times from *since* on of what each account has published or is still to publish."""
    found = rows(
        c,
        """SELECT account_id, due_at FROM post_deliveries
           WHERE account_id = ANY(CAST(:ids AS uuid[])) AND due_at > :since
             AND state IN ('accepted', 'scheduled', 'retrying')
           UNION ALL
           SELECT account_id, due_at FROM post_deliveries
           WHERE account_id = ANY(CAST(:ids AS uuid[])) AND due_at > :since
             AND state NOT IN ('accepted', 'scheduled', 'retrying') AND state NOT IN ('failed', 'cancelled')""",
        ids=list(accounts),
        since=since,
    )
    taken: dict[UUID, list[datetime]] = defaultdict(list)
    for r in found:
        taken[r.account_id].append(r.due_at)
    return taken
