"""Posts and their deliveries as readers see them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.delivery import State
from pipeline.domain.delivery_error import COMMENT_IN_DOUBT, SENT_BEFORE_RESTORE
from pipeline.domain.hold import Hold
from pipeline.domain.own_content import OwnContent, find_base_due
from pipeline.store.database import build, find_value, row, rows
from pipeline.store.deliveries.holds import HOLD_COLUMNS, read_holds
from pipeline.store.deliveries.move import REMOVED
from pipeline.store.deliveries.ownership import Accounts, restrict_posts
from pipeline.store.deliveries.published import URL_PENDING
from pipeline.store.posts.options import CONTENT, PostContent, gather_options


@dataclass(kw_only=True, slots=True)
class PostView(PostContent):
    """A post with its deliveries."""

    expires_at: datetime | None
    on_late: str
    status: str
    source: str
    external_id: str | None
    created_at: datetime
    updated_at: datetime
    now: datetime
    deliveries: Sequence[DeliveryView]

    @property
    def has_own(self) -> bool:
        """Return True if an account has content or a time of its own."""
        return any(one.own is not None for one in self.deliveries)

    @property
    def scheduled_at(self) -> datetime:
        """The earliest time of its accounts, whatever has become of them; ``due_at`` is that of the next one."""
        kept = [one.due_at for one in self.deliveries if not one.removed]
        return min(kept) if kept and self.has_own else self.due_at

    @property
    def base_due_at(self) -> datetime:
        """The time of the accounts without one of their own."""
        kept = [
            (OwnContent.from_dict(d.own), d.due_at, State(d.state)) for d in self.deliveries if not d.removed
        ]
        return find_base_due(self.due_at, kept)


@dataclass(kw_only=True, slots=True)
class NamedDelivery:
    """A delivery, as every list names it."""

    id: UUID
    post_id: UUID
    account_id: UUID
    username: str
    platform: str
    state: str
    reason: str | None
    generation: int
    due_at: datetime
    error: Mapping[str, Any] | None


@dataclass(kw_only=True, slots=True)
class HeldDelivery(NamedDelivery):
    """A delivery, what it waits for, and what it became."""

    held_for: Hold | None
    """Why it waits."""
    next_at: datetime | None
    """When it is touched next, if that is known and to come."""
    armed_at: datetime | None
    published_at: datetime | None
    remote_id: str | None
    url: str | None
    delivered_as: str | None


@dataclass(kw_only=True, slots=True)
class DeliveryView(HeldDelivery):
    """One delivery of a post."""

    last_attempted_at: datetime | None
    removed: bool
    """An edit took the account off the post."""
    url_pending: bool
    """It is live and its URL is still looked up."""
    own: Mapping[str, Any] | None = None
    """What its account has of its own, as stored (``OwnContent``)."""
    cover_error: str | None = None
    """Why its cover is not set; it is published all the same."""
    playlist_error: str | None = None
    """Why it is not in its playlist; it is published all the same."""
    first_comment: CommentView | None = None


@dataclass(kw_only=True, slots=True)
class CommentView:
    """The first comment on a post at one account."""

    text: str
    state: str
    """Of its own delivery, which exists once the post is live; before that and where there is none, of the post's."""
    reason: str | None = None
    due_at: datetime
    url: str | None = None
    error: Mapping[str, Any] | None = None


_FOLLOW_UP_ERROR = """(SELECT f.error FROM follow_ups f WHERE f.delivery_id = d.id AND f.kind = '{kind}'
                   AND d.state = 'published') AS {kind}_error"""
SCHEDULED_AT = f"""coalesce((SELECT min(d.due_at) FILTER (WHERE NOT {REMOVED}) FROM post_deliveries d
                         WHERE d.post_id = p.id HAVING bool_or(d.own IS NOT NULL)), p.due_at) AS scheduled_at"""
"""SQL: ``PostView.scheduled_at`` of a row ``p`` of ``posts``."""
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


def read_posts_within(c: Connection, workspaces: Collection[UUID], posts: Collection[UUID]) -> list[PostView]:
    """Return the ones of these posts that are in these workspaces and not deleted, in no order."""
    sql = f"""SELECT {POST_COLUMNS} FROM posts WHERE id = ANY(CAST(:ids AS uuid[]))
              AND workspace_id = ANY(CAST(:workspaces AS uuid[])) AND deleted_at IS NULL"""
    return attach_deliveries(c, rows(c, sql, ids=list(posts), workspaces=list(workspaces)))


def attach_deliveries(c: Connection, found: Sequence[Any]) -> list[PostView]:
    """Turn rows of POST_COLUMNS into posts with their deliveries."""
    if not found:
        return []
    by_post: dict[UUID, list[DeliveryView]] = {r.id: [] for r in found}
    deliveries = rows(
        c,
        f"""SELECT {HOLD_COLUMNS}, d.post_id, a.username, d.reason, d.armed_at, d.published_at, d.remote_id,
                  d.url, d.delivered_as, d.error, d.last_attempted_at, d.generation, d.own,
                  {REMOVED} AS removed, {URL_PENDING} IS TRUE AS url_pending,
                  {_FOLLOW_UP_ERROR.format(kind="cover")}, {_FOLLOW_UP_ERROR.format(kind="playlist")}
           FROM post_deliveries d JOIN accounts a ON a.id = d.account_id
           WHERE d.post_id = ANY(CAST(:ids AS uuid[])) ORDER BY d.id""",
        ids=list(by_post),
    )
    for delivery in read_holds(DeliveryView, deliveries):
        by_post[delivery.post_id].append(delivery)
    posts = [PostView(**gather_options(r._mapping), deliveries=tuple(by_post[r.id])) for r in found]
    _attach_comments(c, posts)
    return posts


def _attach_comments(c: Connection, posts: Iterable[PostView]) -> None:
    """Give each delivery its first comment; most posts have none."""
    texts = {d.id: text for p in posts for d in p.deliveries if (text := _find_comment(p, d)) is not None}
    if not texts:
        return
    found = rows(
        c,
        """SELECT d.id, f.what ->> 'text' AS text, CASE WHEN f.failed_at IS NOT NULL THEN f.error END AS refused,
                  EXISTS (SELECT FROM restores r
                          WHERE r.accepted_at >= coalesce(d.armed_at, d.published_at)) AS is_restored,
                  k.state, k.reason, k.due_at, k.url, k.error
           FROM post_deliveries d
           LEFT JOIN follow_ups f ON f.delivery_id = d.id AND f.kind = 'comment'
           LEFT JOIN deliveries k ON k.post_id = d.post_id AND k.account_id = d.account_id AND k.is_comment
           WHERE d.id = ANY(CAST(:ids AS uuid[]))""",
        ids=list(texts),
    )
    by_id = {r.id: r for r in found}
    for delivery in [d for p in posts for d in p.deliveries if d.id in texts]:
        delivery.first_comment = _build_comment(delivery, texts[delivery.id], by_id[delivery.id])


def _find_comment(post: PostView, delivery: DeliveryView) -> str | None:
    own: str | None = (delivery.own or {}).get("first_comment")
    return own or post.first_comment


_WITHOUT_DELIVERY = {State.PUBLISHED: State.SCHEDULED, State.FAILED: State.CANCELLED}
"""The state of a comment that has no delivery yet, by that of its post; it is otherwise the same."""


def _build_comment(delivery: DeliveryView, text: str, found: Any) -> CommentView | None:
    """Return the comment; None where the post was live before an edit gave it one."""
    text, state = found.text or text, State(delivery.state)
    if found.state is not None:
        return build(CommentView, found, text=text)
    if state is State.PUBLISHED and found.text is None and not found.is_restored:
        return None
    if state is State.PUBLISHED and (found.text is None or found.refused is not None):
        error = {"code": COMMENT_IN_DOUBT, "message": found.refused or SENT_BEFORE_RESTORE}
        return CommentView(text=text, state=State.FAILED, due_at=delivery.due_at, error=error)
    state = _WITHOUT_DELIVERY.get(state, state)
    return CommentView(text=text, state=state, reason=delivery.reason, due_at=delivery.due_at)


def find_workspace_of_post(c: Connection, post: UUID) -> UUID | None:
    """Return the workspace of a post; None when there is no such post."""
    return find_value(c, UUID, "SELECT workspace_id FROM posts WHERE id = :id", id=post)
