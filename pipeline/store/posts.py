"""Posts: storing what was accepted, recognising what was sent before, and reading it back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from pipeline.store.counts import counted
from pipeline.store.database import jsonb, row, rows
from pipeline.store.ownership import Accounts, posts_within
from pipeline.store.spans import counted_within


@dataclass(frozen=True, kw_only=True, slots=True)
class NewPost:
    """A post that passed every rule, ready to be stored."""

    id: UUID
    workspace_id: UUID
    key_id: UUID | None
    caption: str
    media: Mapping[str, Any]
    music_url: str | None
    tiktok: Mapping[str, Any] | None
    pinterest: Mapping[str, Any] | None
    due_at: datetime
    expires_at: datetime | None
    on_late: str
    external_id: str | None
    replay_token: str | None
    """What a repeat is recognised by; None = never."""
    body_sha256: bytes
    checks: Mapping[int, UUID]
    """Pinned checks by media position; -1 is the music."""
    deliveries: Sequence[NewDelivery]


@dataclass(frozen=True, kw_only=True, slots=True)
class NewDelivery:
    """One account's part of a new post."""

    id: UUID
    account_id: UUID
    platform: str
    state: str
    next_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Replay:
    """The post an earlier request with the same token made."""

    post_id: UUID
    same_body: bool
    status: str
    due_at: datetime
    created_at: datetime


def find_replay(
    c: Connection, workspace: UUID, token: str, body_sha256: bytes, window: timedelta
) -> Replay | None:
    """The earlier post of this token. A body token counts only within the window and never for a dead post."""
    found = row(
        c,
        """SELECT r.post_id, r.body_sha256, p.status, p.due_at, p.created_at
           FROM replays r JOIN posts p ON p.id = r.post_id
           WHERE r.workspace_id = :w AND r.token = :t
             AND (r.token NOT LIKE 'body:%' OR (r.created_at > now() - :window AND p.deleted_at IS NULL
                  AND p.status NOT IN ('canceled', 'failed')))""",
        w=workspace, t=token, window=window,
    )  # fmt: skip
    if found is None:
        return None
    return Replay(
        post_id=found.post_id, same_body=bytes(found.body_sha256) == body_sha256, status=found.status,
        due_at=found.due_at, created_at=found.created_at,
    )  # fmt: skip


_TAKE = """
INSERT INTO replays (workspace_id, token, body_sha256, post_id) VALUES (:w, :t, :sha, :post)
ON CONFLICT (workspace_id, token) DO UPDATE SET post_id = excluded.post_id, created_at = now()
WHERE replays.token LIKE 'body:%' AND (replays.created_at <= now() - CAST(:window AS interval) OR EXISTS (
    SELECT FROM posts p WHERE p.id = replays.post_id
    AND (p.deleted_at IS NOT NULL OR p.status IN ('canceled', 'failed'))))
RETURNING post_id
"""


def take_token(c: Connection, post: NewPost, window: timedelta) -> bool:
    """Makes the token this post's; False when an equal request was faster (it waits for the other's commit here)."""
    return post.replay_token is None or (
        row(
            c, _TAKE, w=post.workspace_id, t=post.replay_token, sha=post.body_sha256, post=post.id,
            window=window,
        )
        is not None
    )  # fmt: skip


_POST = text("""
INSERT INTO posts (id, workspace_id, key_id, caption, media, music_url, tiktok, pinterest, due_at, expires_at, on_late,
                   status, external_id)
VALUES (:id, :workspace_id, :key_id, :caption, :media, :music_url, :tiktok, :pinterest, :due_at, :expires_at, :on_late,
        'scheduled', :external_id)
""")
_DELIVERY = text("""
WITH d AS (
    INSERT INTO deliveries (id, post_id, workspace_id, account_id, platform, state, due_at, next_at)
    VALUES (:id, :post_id, :workspace_id, :account_id, :platform, :state, :due_at, :next_at)
    RETURNING id, state)
INSERT INTO moves (delivery_id, mover, target, generation, fence) SELECT id, 'ingest', state, 0, 0 FROM d
""")
_PIN = text("INSERT INTO post_checks (post_id, position, check_id) VALUES (:post_id, :position, :check_id)")


def insert_posts(c: Connection, posts: Sequence[NewPost]) -> None:
    """Stores posts with their deliveries and pinned checks: many of them in a few statements (pipelined)."""
    c.execute(_POST, [_post_values(p) for p in posts])
    c.execute(_DELIVERY, [_delivery_values(p, d) for p in posts for d in p.deliveries])
    pins = [
        {"post_id": p.id, "position": n, "check_id": check} for p in posts for n, check in p.checks.items()
    ]
    if pins:
        c.execute(_PIN, pins)


def _post_values(p: NewPost) -> dict[str, Any]:
    return {
        "id": p.id, "workspace_id": p.workspace_id, "key_id": p.key_id, "caption": p.caption,
        "media": jsonb(dict(p.media)), "music_url": p.music_url,
        "tiktok": jsonb(None if p.tiktok is None else dict(p.tiktok)),
        "pinterest": jsonb(None if p.pinterest is None else dict(p.pinterest)),
        "due_at": p.due_at, "expires_at": p.expires_at, "on_late": p.on_late, "external_id": p.external_id,
    }  # fmt: skip


def _delivery_values(p: NewPost, d: NewDelivery) -> dict[str, Any]:
    return {
        "id": d.id, "post_id": p.id, "workspace_id": p.workspace_id, "account_id": d.account_id,
        "platform": d.platform, "state": d.state, "due_at": p.due_at, "next_at": d.next_at,
    }  # fmt: skip


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


_MADE = """created_at BETWEEN coalesce(:since, CAST('-infinity' AS timestamptz))
                   AND coalesce(:until, CAST('infinity' AS timestamptz))"""


def count_by_status(
    c: Connection,
    workspace: UUID,
    since: datetime | None = None,
    until: datetime | None = None,
    accounts: Accounts = None,
) -> dict[str, int]:
    """How many posts of a workspace there are of each status, as a reader bound to ``accounts`` sees them.

    That is known without counting, of a span of time too; for who is bound to accounts, their posts' rows are counted.
    """
    if accounts is None:
        return (
            counted(c, workspace)
            if since is None and until is None
            else counted_within(c, workspace, since, until)
        )
    within, bound = posts_within(accounts)
    found = rows(
        c,
        f"""SELECT CASE WHEN status = 'scheduled' AND due_at <= now() THEN 'pending' ELSE status END AS word,
                   count(*) AS n FROM posts
            WHERE id IN (SELECT post_id FROM deliveries WHERE account_id = ANY(CAST(:within AS uuid[]))
                         AND {_MADE}) AND workspace_id = :w AND deleted_at IS NULL AND {_MADE} AND {within}
            GROUP BY 1""",
        w=workspace, since=since, until=until, **bound,
    )  # fmt: skip
    return {r.word: r.n for r in found}


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
