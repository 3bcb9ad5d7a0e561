"""Rechecks: media of scheduled posts that are looked at again before they are due."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.database import row, rows
from pipeline.store.posts.pins import PINS


@dataclass(frozen=True, kw_only=True, slots=True)
class MediaToRecheck:
    """One media URL of one post, with the size and ETag its check found."""

    post_id: UUID
    workspace_id: UUID
    url: str
    purpose: str
    bytes: int | None
    etag: str | None


def claim_rechecks(c: Connection, limit: int) -> list[MediaToRecheck]:
    """Claim the posts that come within a day, and again within 15 minutes, of their time: each is rechecked twice."""
    found = rows(
        c,
        f"""WITH due AS (
               SELECT p.id FROM posts p
               WHERE p.status = 'scheduled' AND p.deleted_at IS NULL
                 AND ((p.due_at BETWEEN now() + interval '15 minutes' AND now() + interval '1 day'
                       AND p.created_at < p.due_at - interval '1 day' AND p.rechecked_at IS NULL)
                   OR (p.due_at BETWEEN now() AND now() + interval '15 minutes'
                       AND p.created_at < p.due_at - interval '20 minutes'
                       AND (p.rechecked_at IS NULL OR p.rechecked_at < p.due_at - interval '15 minutes')))
               ORDER BY p.due_at LIMIT :n FOR UPDATE SKIP LOCKED
           ), taken AS (
               UPDATE posts p SET rechecked_at = now() FROM due WHERE p.id = due.id RETURNING p.id, p.workspace_id
           )
           SELECT DISTINCT t.id AS post_id, t.workspace_id, k.url, k.purpose, (k.facts ->> 'bytes')::bigint AS bytes,
                  k.facts ->> 'etag' AS etag
           FROM taken t JOIN {PINS} pin ON pin.post_id = t.id JOIN checks k ON k.id = pin.check_id
           WHERE k.purpose <> 'music'""",
        n=limit,
    )
    return [MediaToRecheck(**r._mapping) for r in found]


def record_warning(c: Connection, post: UUID, text: str) -> None:
    """Record a warning in the history of each of the post's deliveries."""
    row(
        c,
        """INSERT INTO moves (delivery_id, mover, origin, target, generation, fence, why)
           SELECT id, 'recheck', state, state, generation, fence, :why FROM deliveries WHERE post_id = :post
           RETURNING id""",
        post=post,
        why=text[:500],
    )
