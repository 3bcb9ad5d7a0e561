"""Published deliveries whose URL is not known yet."""

from __future__ import annotations

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from pipeline.store.database import row, rows
from pipeline.store.deliveries.claimed import CLAIMED_COLUMNS, CLAIMED_JOIN, ClaimedDelivery, to_claimed
from pipeline.store.vault import Vault

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
            return (
                row(
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
                is not None
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
