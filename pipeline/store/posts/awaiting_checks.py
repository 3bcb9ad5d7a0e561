"""Posts that wait for checks: accepted deliveries whose media is still being checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.checks.checks import Check
from pipeline.store.database import row, rows
from pipeline.store.deliveries.move import lock_post
from pipeline.store.posts.options import COLUMNS, Options, gather_options
from pipeline.store.posts.pins import PINS, read_pins, select_pinning_posts


@dataclass(frozen=True, kw_only=True, slots=True)
class WaitingPost:
    """A post with accepted deliveries."""

    id: UUID
    workspace_id: UUID
    caption: str
    media: Mapping[str, Any]
    music_url: str | None
    options: Options
    ai_generated: bool
    due_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class AcceptedDelivery:
    """A delivery that waits for its post's checks."""

    id: UUID
    account_id: UUID
    generation: int
    request_id: str | None
    """The id of the request that made the post."""
    checks: Mapping[int, Check]
    """The checks that it waits for, by position."""


_WAITING = f"""
SELECT p.id, p.workspace_id, p.caption, p.media, p.music_url, {COLUMNS}, p.due_at FROM posts p
WHERE p.id IN ({select_pinning_posts(":check")})
  AND EXISTS (SELECT FROM {PINS} pin
              WHERE pin.post_id = p.id AND pin.state = 'accepted' AND pin.check_id = :check)
"""


_THIS = f"""
SELECT p.id, p.workspace_id, p.caption, p.media, p.music_url, {COLUMNS}, p.due_at FROM posts p
WHERE p.id = :id AND EXISTS (SELECT FROM deliveries d WHERE d.post_id = p.id AND d.state = 'accepted')
"""


def lock_waiting_post(c: Connection, post: UUID) -> WaitingPost | None:
    """Lock a post and read it again, as it may have been edited since. None when it no longer waits."""
    lock_post(c, post)
    found = row(c, _THIS, id=post)
    return None if found is None else WaitingPost(**gather_options(found._mapping))


def list_waiting(c: Connection, check: UUID) -> list[WaitingPost]:
    """Return the posts that wait for a check, in id order: the lock order."""
    return [
        WaitingPost(**gather_options(r._mapping)) for r in rows(c, _WAITING + " ORDER BY p.id", check=check)
    ]


def list_within_grace(c: Connection, check: UUID, grace: timedelta) -> list[WaitingPost]:
    """Return the posts that wait for a check and are not yet past their due time plus grace."""
    sql = _WAITING + " AND p.due_at + CAST(:grace AS interval) > now() ORDER BY p.id"
    return [WaitingPost(**gather_options(r._mapping)) for r in rows(c, sql, check=check, grace=grace)]


def list_past_grace(c: Connection, check: UUID, grace: timedelta) -> list[WaitingPost]:
    """Return the posts that wait for a check and are past their due time plus grace."""
    sql = _WAITING + " AND p.due_at + CAST(:grace AS interval) <= now() ORDER BY p.id"
    return [WaitingPost(**gather_options(r._mapping)) for r in rows(c, sql, check=check, grace=grace)]


def list_stranded(c: Connection, limit: int) -> list[WaitingPost]:
    """Return posts with a delivery that waits although all its checks are decided: a worker died between the two."""
    found = rows(
        c,
        f"""SELECT p.id, p.workspace_id, p.caption, p.media, p.music_url, {COLUMNS}, p.due_at FROM posts p
           WHERE p.id IN (SELECT post_id FROM deliveries w
                          WHERE state = 'accepted' AND updated_at < now() - interval '10 seconds'
                            AND NOT EXISTS (SELECT FROM {PINS} pin JOIN checks k ON k.id = pin.check_id
                                            WHERE pin.delivery_id = w.id AND k.verdict IS NULL))
           ORDER BY p.id LIMIT :n""",
        n=limit,
    )
    return [WaitingPost(**gather_options(r._mapping)) for r in found]


def list_accepted_deliveries(c: Connection, post: UUID) -> list[AcceptedDelivery]:
    """Return the accepted deliveries of a post, in id order."""
    pins = read_pins(c, post)
    found = rows(
        c,
        """SELECT id, account_id, generation, (SELECT request_id FROM posts WHERE id = :id) AS request_id
           FROM deliveries WHERE post_id = :id AND state = 'accepted' ORDER BY id""",
        id=post,
    )
    return [AcceptedDelivery(**r._mapping, checks=pins.get(r.id, {})) for r in found]
