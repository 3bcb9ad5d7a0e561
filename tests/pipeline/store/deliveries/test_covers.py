"""Covers are claimed for live posts of active accounts, when their time has come."""

from __future__ import annotations

from uuid import UUID

import pytest

from adapters.contract import MediaFacts
from pipeline.domain.delivery import State
from pipeline.store.database import row
from pipeline.store.deliveries.published import claim_covers, record_cover
from tests.pipeline.store.ledger import Ledger

FACTS = MediaFacts(content_type="image/jpeg", bytes=10)


def claim(ledger: Ledger) -> list[UUID]:
    with ledger.database.begin() as c:
        return [one.claimed.id for one in claim_covers(c, ledger.vault, 100)]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE covers SET next_at = now() + interval '1 minute' WHERE delivery_id = :id RETURNING delivery_id",
        "UPDATE covers SET set_at = now() WHERE delivery_id = :id RETURNING delivery_id",
        "UPDATE covers SET failed_at = now() WHERE delivery_id = :id RETURNING delivery_id",
        """UPDATE deliveries SET state = 'processing', published_at = NULL, armed_at = now()
           WHERE id = :id RETURNING id""",
        "UPDATE deliveries SET remote_id = NULL WHERE id = :id RETURNING id",
        """UPDATE accounts a SET status = 'reconnect' FROM deliveries d
           WHERE d.id = :id AND a.id = d.account_id RETURNING a.id""",
    ],
    ids=["later", "set", "failed", "not published", "no remote id", "reconnect"],
)
def test_a_cover_is_claimed_once_nothing_speaks_against_it(ledger: Ledger, change: str) -> None:
    post, other = ledger.fresh(State.PUBLISHED), ledger.fresh(State.PUBLISHED)
    for n, delivery in enumerate([*post.deliveries, *other.deliveries]):
        ledger.change(delivery, f"remote_id = 'live {n}'")
        with ledger.database.begin() as c:
            record_cover(c, delivery, "https://media.example/cover.jpg", FACTS)
    with ledger.database.begin() as c:
        assert row(c, change, id=post.deliveries[0]) is not None
    assert claim(ledger) == other.deliveries
