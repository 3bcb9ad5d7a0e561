"""Posts: storing what was accepted, and recognising what was sent before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from pipeline.store.database import jsonb, row


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
        w=workspace,
        t=token,
        window=window,
    )
    if found is None:
        return None
    return Replay(
        post_id=found.post_id,
        same_body=bytes(found.body_sha256) == body_sha256,
        status=found.status,
        due_at=found.due_at,
        created_at=found.created_at,
    )


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
            c,
            _TAKE,
            w=post.workspace_id,
            t=post.replay_token,
            sha=post.body_sha256,
            post=post.id,
            window=window,
        )
        is not None
    )


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
        "id": p.id,
        "workspace_id": p.workspace_id,
        "key_id": p.key_id,
        "caption": p.caption,
        "media": jsonb(dict(p.media)),
        "music_url": p.music_url,
        "tiktok": jsonb(None if p.tiktok is None else dict(p.tiktok)),
        "pinterest": jsonb(None if p.pinterest is None else dict(p.pinterest)),
        "due_at": p.due_at,
        "expires_at": p.expires_at,
        "on_late": p.on_late,
        "external_id": p.external_id,
    }


def _delivery_values(p: NewPost, d: NewDelivery) -> dict[str, Any]:
    return {
        "id": d.id,
        "post_id": p.id,
        "workspace_id": p.workspace_id,
        "account_id": d.account_id,
        "platform": d.platform,
        "state": d.state,
        "due_at": p.due_at,
        "next_at": d.next_at,
    }
