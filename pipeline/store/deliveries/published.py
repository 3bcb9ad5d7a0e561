"""Published deliveries that lack something: a cover that is set once the post is live, a URL that is not known yet.

A cover has one row per delivery, written before it is armed, which keeps URL and facts: an edit of the post after that
changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from adapters.contract import MediaFacts
from pipeline.store.database import has_row, jsonb, row, rows
from pipeline.store.deliveries.claim import (
    CLAIMED_COLUMNS,
    CLAIMED_JOIN,
    ClaimedDelivery,
    to_claimed,
    to_claimed_batch,
)
from pipeline.store.vault import Vault

KEPT_TRYING = timedelta(days=1)
"""How long after publishing a cover is tried."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DueCover:
    """A cover to set now, and the published delivery it belongs to."""

    claimed: ClaimedDelivery
    url: str
    facts: Mapping[str, Any]
    is_last: bool
    """No further try follows."""


def record_cover(c: Connection, delivery: UUID, url: str, facts: MediaFacts) -> None:
    """Record the cover of a delivery that is about to be armed; a later arm replaces it."""
    row(
        c,
        """INSERT INTO covers (delivery_id, url, facts) VALUES (:id, :url, CAST(:facts AS jsonb))
           ON CONFLICT (delivery_id) DO UPDATE SET url = excluded.url, facts = excluded.facts, next_at = now(),
               tries = 0, set_at = NULL, failed_at = NULL, error = NULL
           RETURNING delivery_id""",
        id=delivery,
        url=url,
        facts=jsonb(asdict(facts)),
    )


def claim_covers(c: Connection, vault: Vault, limit: int) -> list[DueCover]:
    """Claim covers of published deliveries; each is tried again after a minute, then after twice as long each time."""
    due = rows(
        c,
        """WITH due AS (
               SELECT v.delivery_id, d.published_at FROM covers v
               JOIN deliveries d ON d.id = v.delivery_id JOIN accounts a ON a.id = d.account_id
               WHERE v.set_at IS NULL AND v.failed_at IS NULL AND v.next_at <= now()
                 AND d.state = 'published' AND d.remote_id IS NOT NULL AND a.status = 'active'
               ORDER BY v.next_at LIMIT :n FOR UPDATE OF v SKIP LOCKED)
           UPDATE covers v SET tries = tries + 1,
               next_at = now() + least(interval '1 hour', interval '1 minute' * 2 ^ least(tries, 6))
           FROM due WHERE v.delivery_id = due.delivery_id
           RETURNING v.delivery_id, v.url, v.facts, due.published_at < now() - CAST(:kept AS interval) AS is_last""",
        n=limit,
        kept=KEPT_TRYING,
    )
    found = rows(
        c,
        f"SELECT {CLAIMED_COLUMNS} FROM deliveries d {CLAIMED_JOIN} WHERE d.id = ANY(CAST(:ids AS uuid[]))",
        ids=[r.delivery_id for r in due],
    )
    claimed = {one.id: one for one in to_claimed_batch(found, vault)}
    return [
        DueCover(claimed=claimed[r.delivery_id], url=r.url, facts=r.facts, is_last=r.is_last)
        for r in due
        if r.delivery_id in claimed
    ]


def settle_cover(c: Connection, delivery: UUID, error: str | None, *, is_final: bool) -> None:
    """Store the result of a try. Without an error the cover is set; with a final one it is not tried again."""
    row(
        c,
        """UPDATE covers SET error = :error, set_at = CASE WHEN CAST(:error AS text) IS NULL THEN now() END,
                  failed_at = CASE WHEN CAST(:error AS text) IS NOT NULL AND :final THEN now() END
           WHERE delivery_id = :id RETURNING delivery_id""",
        id=delivery,
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
        f"""SELECT {CLAIMED_COLUMNS} FROM deliveries d {CLAIMED_JOIN}
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
    row(
        c,
        """UPDATE deliveries SET next_at = now() + least(greatest(now() - published_at, interval '30 seconds'),
                                                        interval '1 hour') WHERE id = :id RETURNING id""",
        id=claimed.id,
    )
