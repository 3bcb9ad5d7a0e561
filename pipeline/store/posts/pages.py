"""Pages of posts, newest first: as many rows are read as are shown, however many posts there are."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.database import rows
from pipeline.store.deliveries.ownership import Accounts
from pipeline.store.posts import restricted_pages as bound_pages
from pipeline.store.posts.views import POST_COLUMNS, PostView, with_deliveries


def list_posts(
    c: Connection,
    workspace: UUID,
    *,
    status: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    before: tuple[datetime, UUID] | None = None,
    limit: int = 50,
    accounts: Accounts = None,
) -> list[PostView]:
    """Newest first, those in sight of who is bound to ``accounts``. ``before``: where the last page ended.

    ``pending`` includes scheduled posts whose time has come.
    """
    clauses = ["workspace_id = :w", "deleted_at IS NULL"]
    before_at, before_id = before or (None, None)
    values: dict[str, Any] = {
        "w": workspace,
        "n": limit,
        "status": status,
        "since": since,
        "until": until,
        "before_at": before_at,
        "before_id": before_id,
    }
    if since is not None:
        clauses.append("created_at >= :since")
    if until is not None:
        clauses.append("created_at <= :until")
    if before is not None:
        clauses.append("(created_at, id) < (:before_at, :before_id)")
    where = " AND ".join(clauses)
    if accounts is not None:
        return with_deliveries(c, bound_pages.page(c, list(accounts), where, values))
    sql = _LISTS.get(status or "any", _LISTS["one"])
    return with_deliveries(c, rows(c, sql.format(columns=POST_COLUMNS, where=where), **values))


_NEWEST = "ORDER BY created_at DESC, id DESC LIMIT :n"
_LISTS = {
    "any": f"SELECT {{columns}} FROM posts WHERE {{where}} {_NEWEST}",
    "one": f"SELECT {{columns}} FROM posts WHERE {{where}} AND status = :status {_NEWEST}",
    # the sum keeps the planner from sorting all that are due later: nearly all of this status are
    "scheduled": f"""SELECT {{columns}} FROM posts
                     WHERE {{where}} AND status = 'scheduled' AND due_at + interval '0' > now() {_NEWEST}""",
    # apart, for each has an index and the two together have none; those whose time has come are few
    "pending": f"""WITH due AS MATERIALIZED (
                       SELECT * FROM posts WHERE {{where}} AND status = 'scheduled'
                       AND due_at BETWEEN (SELECT CAST('-infinity' AS timestamptz)) AND (SELECT now()))
                   SELECT {{columns}} FROM (
                       (SELECT * FROM posts WHERE {{where}} AND status = 'pending' {_NEWEST})
                       UNION ALL SELECT * FROM due) posts {_NEWEST}""",
}
"""Lists of posts, by the status that is asked for. (Why overdue ones are asked for like that: ``counts.py``.)"""
