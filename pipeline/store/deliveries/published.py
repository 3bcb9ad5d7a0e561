"""Published deliveries that lack something: what is done only once the post is live, a URL that is not known yet.

A follow-up (a cover, a playlist, a first comment) has one row per delivery and kind, written before the delivery is
armed, which keeps what it needs: an edit of the post after that changes nothing. A first comment is a visible call, so
doing it adds a delivery of its own kind, which is armed and looked at as any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from pipeline.domain.level import LEVELS
from pipeline.store.database import execute, has_row, jsonb, new_id, rows
from pipeline.store.deliveries.claim import (
    CLAIMED_COLUMNS,
    CLAIMED_JOIN,
    ClaimedDelivery,
    to_claimed,
)
from pipeline.store.deliveries.move import lock_post
from pipeline.store.vault import Vault

KEPT_TRYING = timedelta(days=1)
"""How long after publishing a follow-up is tried."""
FollowUpKind = Literal["cover", "playlist", "comment"]
FollowUps = Mapping[FollowUpKind, Mapping[str, Any]]
"""By kind what it needs: a cover its ``url`` and ``facts``, a playlist its ``id``, a first comment its ``text``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DueFollowUp:
    """A follow-up to do now, and the published delivery it belongs to."""

    claimed: ClaimedDelivery
    kind: FollowUpKind
    what: Mapping[str, Any]
    is_last: bool
    """No further try follows."""


def record_follow_ups(c: Connection, delivery: UUID, wanted: FollowUps) -> None:
    """Record what is done once a delivery that is about to be armed is live; a later arm replaces it."""
    execute(
        c,
        """WITH dropped AS (
               DELETE FROM follow_ups WHERE delivery_id = :id AND NOT CAST(:wanted AS jsonb) ? kind)
           INSERT INTO follow_ups (delivery_id, kind, what)
           SELECT :id, key, value FROM jsonb_each(CAST(:wanted AS jsonb))
           ON CONFLICT (delivery_id, kind) DO UPDATE SET what = excluded.what, next_at = now(),
               tries = 0, done_at = NULL, failed_at = NULL, error = NULL""",
        id=delivery,
        wanted=jsonb(wanted),
    )


def claim_follow_ups(c: Connection, vault: Vault, limit: int) -> list[DueFollowUp]:
    """Claim what is due of published deliveries.

    Each is tried again after a minute, then after twice as long each time.
    """
    due = rows(
        c,
        """WITH due AS (
               SELECT f.delivery_id, f.kind, d.published_at FROM follow_ups f
               JOIN post_deliveries d ON d.id = f.delivery_id JOIN accounts a ON a.id = d.account_id
               WHERE f.done_at IS NULL AND f.failed_at IS NULL AND f.next_at <= now()
                 AND d.state = 'published' AND d.remote_id IS NOT NULL AND a.status = 'active'
               ORDER BY f.next_at LIMIT :n FOR UPDATE OF f SKIP LOCKED)
           UPDATE follow_ups f SET tries = tries + 1,
               next_at = now() + least(interval '1 hour', interval '1 minute' * 2 ^ least(tries, 6))
           FROM due WHERE f.delivery_id = due.delivery_id AND f.kind = due.kind
           RETURNING f.delivery_id, f.kind, f.what, due.published_at < now() - CAST(:kept AS interval) AS is_last""",
        n=limit,
        kept=KEPT_TRYING,
    )
    found = rows(
        c,
        f"SELECT {CLAIMED_COLUMNS} FROM post_deliveries d {CLAIMED_JOIN} WHERE d.id = ANY(CAST(:ids AS uuid[]))",
        ids=list({r.delivery_id for r in due}),
    )
    claimed = {one.id: one for one in (to_claimed(r, vault) for r in found)}
    return [
        DueFollowUp(claimed=claimed[r.delivery_id], kind=r.kind, what=r.what, is_last=r.is_last)
        for r in due
        if r.delivery_id in claimed and claimed[r.delivery_id].unopened != "credentials"
    ]


_ADD_COMMENT = """
WITH wanted AS (
    SELECT delivery_id, what -> 'text' AS text FROM follow_ups
    WHERE delivery_id = :post AND kind = 'comment' AND failed_at IS NULL FOR UPDATE
), d AS (
    INSERT INTO deliveries (id, post_id, workspace_id, account_id, platform, state, due_at, next_at, level, own,
                            is_comment)
    SELECT :id, post_id, workspace_id, account_id, platform, 'scheduled', now(), now(), :level,
           jsonb_build_object('caption', w.text, 'media', CAST('{"type": "text"}' AS jsonb), platform, '{}'::jsonb),
           true
    FROM deliveries JOIN wanted w ON w.delivery_id = id
    ON CONFLICT (post_id, account_id, is_comment) DO NOTHING RETURNING id, state
)
INSERT INTO moves (delivery_id, mover, target, generation, fence) SELECT id, 'ingest', state, 0, 0 FROM d
"""


def add_comment(c: Connection, claimed: ClaimedDelivery) -> bool:
    """Add the delivery of the first comment on a live post; False if it was sent before a restore, perhaps.

    It says what the post asks for by now; nothing is added where an edit has taken the comment off. Adding it twice
    adds one. The post is locked first, as by an edit.
    """
    before = "SELECT epoch FROM restores WHERE accepted_at >= (SELECT coalesce(armed_at, published_at) FROM deliveries"
    if has_row(c, f"{before} WHERE id = :id) LIMIT 1", id=claimed.id):
        return False
    lock_post(c, claimed.post_id)
    execute(c, _ADD_COMMENT, id=new_id(), post=claimed.id, level=LEVELS["first_comment"])
    return True


def settle_follow_up(
    c: Connection, delivery: UUID, kind: FollowUpKind, error: str | None, *, is_final: bool
) -> None:
    """Store the result of a try. Without an error it is done; with a final one it is not tried again.

    What an edit or a lock has ended meanwhile stays ended.
    """
    execute(
        c,
        """UPDATE follow_ups SET error = :error, done_at = CASE WHEN CAST(:error AS text) IS NULL THEN now() END,
                  failed_at = CASE WHEN CAST(:error AS text) IS NOT NULL AND :final THEN now() END
           WHERE delivery_id = :id AND kind = :kind AND failed_at IS NULL""",
        id=delivery,
        kind=kind,
        error=error,
        final=is_final,
    )


URL_PENDING = """(d.state = 'published' AND d.url IS NULL AND d.delivered_as = 'post'
                 AND d.published_at > now() - interval '1 day')"""
"""SQL: whether the URL of a delivery ``d`` is still looked up: for a day, and of drafts never."""


def list_without_url(c: Connection, vault: Vault, limit: int) -> list[ClaimedDelivery]:
    """Return deliveries whose URL is pending and whose next lookup is due; intervals grow."""
    found = rows(
        c,
        f"""SELECT {CLAIMED_COLUMNS} FROM post_deliveries d {CLAIMED_JOIN}
            WHERE {URL_PENDING} AND d.next_at <= now() AND a.status = 'active'
            ORDER BY d.next_at LIMIT :n""",
        n=limit,
    )
    return [to_claimed(r, vault) for r in found]


def save_url(c: Connection, claimed: ClaimedDelivery, remote_id: str, url: str) -> bool:
    """Store URL and remote id; False if another delivery owns the remote id, as the URL is then that one's.

    The move from published to published causes a new receipt: the earlier one has no URL.
    """
    try:
        with c.begin_nested():
            return has_row(
                c,
                """WITH d AS (
                       UPDATE deliveries SET url = :url, remote_id = :r, updated_at = now()
                       WHERE id = :id AND state = 'published' AND url IS NULL RETURNING id, generation, fence
                   )
                   INSERT INTO moves (delivery_id, mover, origin, target, generation, fence, why)
                   SELECT id, 'urls', 'published', 'published', generation, fence, 'its URL was found' FROM d
                   RETURNING delivery_id""",
                id=claimed.id,
                url=url,
                r=remote_id,
            )
    except IntegrityError:
        postpone_url_lookup(c, claimed)
        return False


def postpone_url_lookup(c: Connection, claimed: ClaimedDelivery) -> None:
    """Schedule the next lookup after as long as the post has been live (30 seconds to an hour)."""
    sql = """UPDATE deliveries SET next_at = now() + least(greatest(now() - published_at, interval '30 seconds'),
                                                           interval '1 hour') WHERE id = :id"""
    execute(c, sql, id=claimed.id)
