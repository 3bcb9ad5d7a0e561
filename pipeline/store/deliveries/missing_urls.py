"""Published deliveries whose address is not known yet."""

from __future__ import annotations

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from pipeline.store.database import row, rows
from pipeline.store.deliveries.claimed import HELD_COLUMNS, HELD_JOIN, ClaimedDelivery, held_row
from pipeline.store.vault import Vault


def without_url(c: Connection, vault: Vault, limit: int) -> list[ClaimedDelivery]:
    """Live for less than a day, not drafts, with a handle to ask by; each is asked ever more seldom."""
    found = rows(
        c,
        f"""SELECT {HELD_COLUMNS} FROM deliveries d {HELD_JOIN}
            WHERE d.state = 'published' AND d.url IS NULL AND d.published_at > now() - interval '1 day'
              AND d.delivered_as = 'post' AND d.next_at <= now() AND a.status = 'active'
            ORDER BY d.next_at LIMIT :n""",
        n=limit,
    )
    return [held_row(r, vault) for r in found]


def fill(c: Connection, held: ClaimedDelivery, remote_id: str, url: str) -> bool:
    """Stores the address; the remote id too, unless another delivery owns it (then the address is somebody else's).

    A move from published to published tells of it: the receipt before has no address yet.
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
                       SELECT id, 'urls', 'published', 'published', generation, fence, 'its address was found' FROM d
                       RETURNING delivery_id""",
                    id=held.id,
                    url=url,
                    r=remote_id,
                )
                is not None
            )
    except IntegrityError:
        ask_again(c, held)
        return False


def ask_again(c: Connection, held: ClaimedDelivery) -> None:
    """Later, as long again as it has been live (between half a minute and an hour)."""
    row(
        c,
        """UPDATE deliveries SET next_at = now() + least(greatest(now() - published_at, interval '30 seconds'),
                                                        interval '1 hour') WHERE id = :id RETURNING id""",
        id=held.id,
    )
