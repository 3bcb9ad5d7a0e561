"""Posts that wait for a check: who they are, and what of them is still undecided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.checks.checks import Check
from pipeline.store.database import row, rows
from pipeline.store.deliveries.moves import lock_post


@dataclass(frozen=True, kw_only=True, slots=True)
class WaitingPost:
    """A post with accepted deliveries."""

    id: UUID
    workspace_id: UUID
    caption: str
    media: Mapping[str, Any]
    music_url: str | None
    tiktok: Mapping[str, Any] | None
    pinterest: Mapping[str, Any] | None
    due_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class AcceptedDelivery:
    """A delivery that waits for its post's checks."""

    id: UUID
    account_id: UUID
    generation: int


_WAITING = """
SELECT p.id, p.workspace_id, p.caption, p.media, p.music_url, p.tiktok, p.pinterest, p.due_at FROM posts p
WHERE p.id IN (SELECT post_id FROM post_checks WHERE check_id = :check)
  AND EXISTS (SELECT FROM deliveries d WHERE d.post_id = p.id AND d.state = 'accepted')
"""


_THIS = """
SELECT p.id, p.workspace_id, p.caption, p.media, p.music_url, p.tiktok, p.pinterest, p.due_at FROM posts p
WHERE p.id = :id AND EXISTS (SELECT FROM deliveries d WHERE d.post_id = p.id AND d.state = 'accepted')
"""


def locked(c: Connection, post: UUID) -> WaitingPost | None:
    """Locks a post and reads it again: it may have been edited since it was found. None when it no longer waits."""
    lock_post(c, post)
    found = row(c, _THIS, id=post)
    return None if found is None else WaitingPost(**found._mapping)


def posts_waiting_for(c: Connection, check: UUID) -> list[WaitingPost]:
    """In id order: the one lock order everywhere."""
    return [WaitingPost(**r._mapping) for r in rows(c, _WAITING + " ORDER BY p.id", check=check)]


def posts_still_patient(c: Connection, check: UUID, grace: timedelta) -> list[WaitingPost]:
    """Those whose time plus grace has not come yet."""
    sql = _WAITING + " AND p.due_at + CAST(:grace AS interval) > now() ORDER BY p.id"
    return [WaitingPost(**r._mapping) for r in rows(c, sql, check=check, grace=grace)]


def posts_out_of_patience(c: Connection, check: UUID, grace: timedelta) -> list[WaitingPost]:
    """Those whose time plus grace is over."""
    sql = _WAITING + " AND p.due_at + CAST(:grace AS interval) <= now() ORDER BY p.id"
    return [WaitingPost(**r._mapping) for r in rows(c, sql, check=check, grace=grace)]


def stranded_posts(c: Connection, limit: int) -> list[WaitingPost]:
    """The net: posts that wait although every check of theirs is decided."""
    found = rows(
        c,
        """SELECT p.id, p.workspace_id, p.caption, p.media, p.music_url, p.tiktok, p.pinterest, p.due_at FROM posts p
           WHERE p.id IN (SELECT post_id FROM deliveries WHERE state = 'accepted'
                          AND updated_at < now() - interval '10 seconds')
             AND NOT EXISTS (SELECT FROM post_checks pc JOIN checks k ON k.id = pc.check_id
                             WHERE pc.post_id = p.id AND k.verdict IS NULL)
           ORDER BY p.id LIMIT :n""",
        n=limit,
    )
    return [WaitingPost(**r._mapping) for r in found]


def checks_of(c: Connection, post: UUID) -> dict[int, Check]:
    """A post's checks by position, as they stand now."""
    found = rows(
        c,
        """SELECT pc.position, k.id, k.purpose, k.url, k.verdict, k.facts, k.seen
           FROM post_checks pc JOIN checks k ON k.id = pc.check_id WHERE pc.post_id = :id ORDER BY pc.position""",
        id=post,
    )
    return {
        r.position: Check(
            id=r.id, purpose=r.purpose, url=r.url, verdict=r.verdict, facts=r.facts, seen=r.seen
        )
        for r in found
    }


def accepted_deliveries(c: Connection, post: UUID) -> list[AcceptedDelivery]:
    """What of a post still waits for its checks, in id order."""
    found = rows(
        c,
        "SELECT id, account_id, generation FROM deliveries WHERE post_id = :id AND state = 'accepted' ORDER BY id",
        id=post,
    )
    return [AcceptedDelivery(**r._mapping) for r in found]


lock = lock_post
