"""Posts as they are read back: one of them, and pages of them, newest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.database import row, rows
from pipeline.store.ownership import Accounts, posts_within


@dataclass(frozen=True, kw_only=True, slots=True)
class PostView:
    """A post with its accounts, as read back."""

    id: UUID
    workspace_id: UUID
    caption: str
    media: Mapping[str, Any]
    music_url: str | None
    tiktok: Mapping[str, Any] | None
    pinterest: Mapping[str, Any] | None
    due_at: datetime
    expires_at: datetime | None
    on_late: str
    status: str
    source: str
    external_id: str | None
    created_at: datetime
    updated_at: datetime
    now: datetime
    deliveries: Sequence[DeliveryView]


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryView:
    """One account's part of a post, as read back."""

    id: UUID
    post_id: UUID
    account_id: UUID
    username: str
    platform: str
    state: str
    reason: str | None
    due_at: datetime
    next_at: datetime
    armed_at: datetime | None
    published_at: datetime | None
    remote_id: str | None
    url: str | None
    delivered_as: str | None
    error: Mapping[str, Any] | None
    last_attempted_at: datetime | None
    generation: int


_POST_COLUMNS = """id, workspace_id, caption, media, music_url, tiktok, pinterest, due_at, expires_at, on_late, status,
                   source, external_id, created_at, updated_at, now() AS now"""


def read_post(c: Connection, workspace: UUID, post: UUID, accounts: Accounts = None) -> PostView | None:
    """One post of a workspace, for who is bound to ``accounts``.

    None when it is another's, out of their sight, deleted, or not there: all the same to the reader.
    """
    within, bound = posts_within(accounts)
    found = row(
        c,
        f"""SELECT {_POST_COLUMNS} FROM posts
            WHERE id = :id AND workspace_id = :w AND deleted_at IS NULL AND {within}""",
        id=post, w=workspace, **bound,
    )  # fmt: skip
    return None if found is None else _with_deliveries(c, [found])[0]


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
    within, bound = posts_within(accounts)
    clauses = ["workspace_id = :w", "deleted_at IS NULL", within]
    before_at, before_id = before or (None, None)
    values: dict[str, Any] = {
        "w": workspace, "n": limit, "status": status, "since": since, "until": until, "before_at": before_at,
        "before_id": before_id, **bound,
    }  # fmt: skip
    if since is not None:
        clauses.append("created_at >= :since")
    if until is not None:
        clauses.append("created_at <= :until")
    if before is not None:
        clauses.append("(created_at, id) < (:before_at, :before_id)")
    if accounts is not None and status in _BY_ACCOUNT:
        sql = _BY_ACCOUNT[status]
    else:
        sql = _LISTS.get(status or "any", _LISTS["one"])
    found = rows(c, sql.format(columns=_POST_COLUMNS, where=" AND ".join(clauses)), **values)
    return _with_deliveries(c, found)


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
_OF_ACCOUNTS = f"""
SELECT DISTINCT ON (created_at, id) {{columns}}
FROM unnest(CAST(:within AS uuid[])) AS one (account), LATERAL (
    SELECT posts.* FROM (SELECT account_id, post_id, created_at AS made FROM deliveries) d, LATERAL (
        SELECT * FROM posts WHERE id = d.post_id AND created_at = d.made AND {{where}}
        OFFSET 0) posts  -- so that the planner goes along the index, one by one: else it joins all before it sorts
    WHERE d.account_id = one.account AND d.made >= coalesce(:since, CAST('-infinity' AS timestamptz))
      AND d.made <= least(CAST(:until AS timestamptz), CAST(:before_at AS timestamptz), 'infinity')
    ORDER BY d.made DESC, d.post_id DESC LIMIT :n) posts
{_NEWEST}
"""
_BY_ACCOUNT = {None: _OF_ACCOUNTS, "posted": _OF_ACCOUNTS.replace("{where}", "status = :status AND {where}")}
"""Lists for who is bound to accounts, of what most posts are: the newest of each account (index deliveries_account).

A post has a delivery that was made with it, in one transaction and so at the same moment, to one of the accounts that
it goes to; those that edits added are younger and passed over. Other statuses are rare, and looked for by status.
"""


def _with_deliveries(c: Connection, found: Sequence[Any]) -> list[PostView]:
    if not found:
        return []
    by_post: dict[UUID, list[DeliveryView]] = {r.id: [] for r in found}
    for d in rows(
        c,
        """SELECT d.id, d.post_id, d.account_id, a.username, d.platform, d.state, d.reason, d.due_at, d.next_at,
                  d.armed_at, d.published_at, d.remote_id, d.url, d.delivered_as, d.error, d.last_attempted_at,
                  d.generation
           FROM deliveries d JOIN accounts a ON a.id = d.account_id
           WHERE d.post_id = ANY(CAST(:ids AS uuid[])) ORDER BY d.id""",
        ids=list(by_post),
    ):
        by_post[d.post_id].append(DeliveryView(**d._mapping))
    return [PostView(**r._mapping, deliveries=tuple(by_post[r.id])) for r in found]
