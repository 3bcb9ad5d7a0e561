"""Idempotency tokens: which post an earlier request with the same ``external_id``, or the same body, has made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.database import rows
from pipeline.store.posts.array_literals import write_ids, write_texts


@dataclass(frozen=True, kw_only=True, slots=True)
class Replay:
    """The post that an earlier request with the same token made."""

    post_id: UUID
    body_sha256: bytes
    due_at: datetime
    created_at: datetime


def find_replays(
    c: Connection, tokens: Sequence[tuple[UUID, str]], window: timedelta
) -> dict[tuple[UUID, str], Replay]:
    """Return the earlier posts of these tokens, by workspace and token.

    A token made of a body counts only within the window, and never for a post that is deleted, canceled or failed.
    """
    found = rows(
        c,
        # LATERAL and LIMIT: a plan made while the tables were small would read them whole when they have grown
        """SELECT r.workspace_id, r.token, r.post_id, r.body_sha256, p.due_at, p.created_at
           FROM unnest(:w::uuid[], :t::text[]) AS x (w, t),
                LATERAL (SELECT * FROM replays WHERE workspace_id = x.w AND token = x.t LIMIT 1) r,
                LATERAL (SELECT * FROM posts WHERE id = r.post_id LIMIT 1) p
           WHERE r.token NOT LIKE 'body:%' OR (r.created_at > now() - :window AND p.deleted_at IS NULL
                 AND p.status NOT IN ('canceled', 'failed'))""",
        w=write_ids(w for w, _ in tokens),
        t=write_texts(t for _, t in tokens),
        window=window,
    )
    return {
        (r.workspace_id, r.token): Replay(
            post_id=r.post_id, body_sha256=bytes(r.body_sha256), due_at=r.due_at, created_at=r.created_at
        )
        for r in found
    }
