"""Posts and their deliveries as readers see them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.hold import Hold
from pipeline.store.database import find_value, row, rows
from pipeline.store.deliveries.holds import HOLD_COLUMNS, read_holds
from pipeline.store.deliveries.move import REMOVED
from pipeline.store.deliveries.ownership import Accounts, restrict_posts
from pipeline.store.deliveries.published import URL_PENDING
from pipeline.store.posts.options import CONTENT, Options, gather_options


@dataclass(
    kw_only=True, slots=True
)  # not frozen: a page makes a hundred, and each took half as long again (measured)
class PostView:
    """A post with its deliveries."""

    id: UUID
    workspace_id: UUID
    caption: str
    media: Mapping[str, Any]
    music_url: str | None
    options: Options
    ai_generated: bool = False
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


@dataclass(kw_only=True, slots=True)
class DeliveryView:
    """One delivery of a post."""

    id: UUID
    post_id: UUID
    account_id: UUID
    username: str
    platform: str
    state: str
    reason: str | None
    held_for: Hold | None
    """Why it waits."""
    next_at: datetime | None
    """When it is touched next, if that is known and to come."""
    due_at: datetime
    armed_at: datetime | None
    published_at: datetime | None
    remote_id: str | None
    url: str | None
    delivered_as: str | None
    error: Mapping[str, Any] | None
    last_attempted_at: datetime | None
    generation: int
    removed: bool
    """An edit took the account off the post."""
    url_pending: bool
    """It is live and its URL is still looked up."""
    cover_error: str | None = None
    """Why its cover is not set; it is published all the same."""


POST_COLUMNS = f"""{CONTENT}, expires_at, on_late,
                   status, source, external_id, created_at, updated_at, now() AS now"""


def read_post(c: Connection, workspace: UUID, post: UUID, accounts: Accounts = None) -> PostView | None:
    """Return a post of a workspace, for a key restricted to ``accounts``.

    None when it is in another workspace, invisible to the key, deleted or missing: readers cannot tell these apart.
    """
    own = restrict_posts(workspace, accounts)
    found = row(c, f"SELECT {POST_COLUMNS} FROM posts WHERE id = :id AND {own}", id=post, **own.values)
    return None if found is None else attach_deliveries(c, [found])[0]


def read_posts(
    c: Connection, workspace: UUID, posts: Collection[UUID], accounts: Accounts = None
) -> list[PostView]:
    """Return the ones of these posts that a key restricted to ``accounts`` may see, in no order."""
    own = restrict_posts(workspace, accounts)
    sql = f"SELECT {POST_COLUMNS} FROM posts WHERE id = ANY(CAST(:ids AS uuid[])) AND {own}"
    found = rows(c, sql, ids=list(posts), **own.values)
    return attach_deliveries(c, found)


def attach_deliveries(c: Connection, found: Sequence[Any]) -> list[PostView]:
    """Turn rows of POST_COLUMNS into posts with their deliveries."""
    if not found:
        return []
    by_post: dict[UUID, list[DeliveryView]] = {r.id: [] for r in found}
    deliveries = rows(
        c,
        f"""SELECT {HOLD_COLUMNS}, d.post_id, a.username, d.reason, d.armed_at, d.published_at, d.remote_id,
                  d.url, d.delivered_as, d.error, d.last_attempted_at, d.generation,
                  {REMOVED} AS removed, {URL_PENDING} IS TRUE AS url_pending,
                  (SELECT error FROM covers v WHERE v.delivery_id = d.id AND d.state = 'published') AS cover_error
           FROM deliveries d JOIN accounts a ON a.id = d.account_id
           WHERE d.post_id = ANY(CAST(:ids AS uuid[])) ORDER BY d.id""",
        ids=list(by_post),
    )
    for delivery in read_holds(DeliveryView, deliveries):
        by_post[delivery.post_id].append(delivery)
    return [PostView(**gather_options(r._mapping), deliveries=tuple(by_post[r.id])) for r in found]


def find_workspace_of_post(c: Connection, post: UUID) -> UUID | None:
    """Return the workspace of a post; None when there is no such post."""
    return find_value(c, UUID, "SELECT workspace_id FROM posts WHERE id = :id", id=post)
