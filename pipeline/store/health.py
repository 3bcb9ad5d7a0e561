"""The database as a whole: whether it responds, its clock, limits of a transaction, and row counts."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection

from pipeline.store.database import row, rows


def ping(c: Connection) -> bool:
    """Return True if the database executes a statement. Raises Unreachable."""
    return row(c, "SELECT 1 AS one") is not None


def database_now(c: Connection) -> datetime:
    """Return the database's clock: the start of this transaction."""
    found = row(c, "SELECT now() AS now")
    if found is None:
        raise LookupError("The database returned no time.")
    moment: datetime = found.now
    return moment


def set_statement_timeout(c: Connection, longest: timedelta) -> None:
    """Cancel any further statement of this transaction after this long; it raises Unreachable."""
    row(c, "SELECT set_config('statement_timeout', :ms, true)", ms=str(int(longest.total_seconds() * 1000)))


def limit_idle(c: Connection, longest: timedelta) -> None:
    """End this transaction when its client is silent for this long between two statements: it may be frozen."""
    row(
        c,
        "SELECT set_config('idle_in_transaction_session_timeout', :ms, true)",
        ms=str(int(longest.total_seconds() * 1000)),
    )


def force_generic_plans(c: Connection) -> None:
    """Use one generic plan for each further statement of this transaction.

    For statements whose plan does not depend on the values and takes longer to make than to execute.
    """
    row(c, "SELECT set_config('plan_cache_mode', 'force_generic_plan', true)")


def count_posts(c: Connection) -> dict[str, int]:
    """Count the posts of all workspaces by stored status, without deleted ones. Reads the whole table."""
    found = rows(c, "SELECT status, count(*) AS n FROM posts WHERE deleted_at IS NULL GROUP BY status")
    return {r.status: r.n for r in found}


def count_deliveries(c: Connection) -> dict[tuple[str, str], int]:
    """Count the deliveries of all workspaces by platform and state. Reads the whole table."""
    found = rows(c, "SELECT platform, state, count(*) AS n FROM deliveries GROUP BY platform, state")
    return {(r.platform, r.state): r.n for r in found}
