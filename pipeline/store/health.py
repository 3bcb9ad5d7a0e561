"""Reads that belong to no post: whether the ledger answers, and how much of what is in it."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection

from pipeline.store.database import row, rows


def answers(c: Connection) -> bool:
    """Whether the database answers a question."""
    return row(c, "SELECT 1 AS one") is not None


def database_now(c: Connection) -> datetime:
    """The clock that decides: the start of this transaction."""
    found = row(c, "SELECT now() AS now")
    if found is None:
        raise LookupError("The database does not know the time.")
    moment: datetime = found.now
    return moment


def limit_time(c: Connection, longest: timedelta) -> None:
    """Every further statement of this transaction is given up (as Unreachable) after this long."""
    row(c, "SELECT set_config('statement_timeout', :ms, true)", ms=str(int(longest.total_seconds() * 1000)))


def plan_once(c: Connection) -> None:
    """Every further statement of this transaction is planned once for all values, not anew for each.

    For statements whose plan is always the same, and takes longer to be made than they take to be done.
    """
    row(c, "SELECT set_config('plan_cache_mode', 'force_generic_plan', true)")


def count_posts(c: Connection) -> dict[str, int]:
    """Posts of all workspaces by stored status, without deleted ones. Reads the whole table."""
    found = rows(c, "SELECT status, count(*) AS n FROM posts WHERE deleted_at IS NULL GROUP BY status")
    return {r.status: r.n for r in found}


def count_deliveries(c: Connection) -> dict[tuple[str, str], int]:
    """Deliveries of all workspaces by platform and state. Reads the whole table."""
    found = rows(c, "SELECT platform, state, count(*) AS n FROM deliveries GROUP BY platform, state")
    return {(r.platform, r.state): r.n for r in found}
