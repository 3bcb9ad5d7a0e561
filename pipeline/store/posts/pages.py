"""Pages of posts, newest first, by keyset: a page reads as many rows as it shows, however many posts there are."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.database import rows
from pipeline.store.deliveries.ownership import Accounts
from pipeline.store.posts.restricted_pages import list_restricted
from pipeline.store.posts.views import POST_COLUMNS, PostView, attach_deliveries


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
    """List the posts a key restricted to ``accounts`` sees, newest first. ``before``: the last post of the page before.

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
        return attach_deliveries(c, list_restricted(c, accounts, where, values))
    sql = _LISTS.get(status or "any", _LISTS["one"])
    return attach_deliveries(c, rows(c, sql.format(columns=POST_COLUMNS, where=where), **values))


_NEWEST = "ORDER BY created_at DESC, id DESC LIMIT :n"
_LISTS = {
    "any": f"SELECT {{columns}} FROM posts WHERE {{where}} {_NEWEST}",
    "one": f"SELECT {{columns}} FROM posts WHERE {{where}} AND status = :status {_NEWEST}",
    # the sum keeps the planner from sorting all posts due later, which are nearly all of this status
    "scheduled": f"""SELECT {{columns}} FROM posts
                     WHERE {{where}} AND status = 'scheduled' AND due_at + interval '0' > now() {_NEWEST}""",
    # two queries, as each has an index and the union has none; overdue posts are few
    "pending": f"""WITH due AS MATERIALIZED (
                       SELECT * FROM posts WHERE {{where}} AND status = 'scheduled'
                       AND due_at BETWEEN (SELECT CAST('-infinity' AS timestamptz)) AND (SELECT now()))
                   SELECT {{columns}} FROM (
                       (SELECT * FROM posts WHERE {{where}} AND status = 'pending' {_NEWEST})
                       UNION ALL SELECT * FROM due) posts {_NEWEST}""",
}
"""Statements by status. ``rollups/time_buckets.py`` says why the bounds of overdue posts are written like this."""
