"""Follow-ups are claimed for live posts of active accounts, when their time has come."""

from __future__ import annotations

from uuid import UUID

import pytest

from pipeline.domain.delivery import State
from pipeline.store.database import row
from pipeline.store.deliveries.published import claim_follow_ups, record_follow_ups
from tests.pipeline.store.ledger import Ledger


def claim(ledger: Ledger) -> list[UUID]:
    return [one.claimed.id for one in ledger.do(claim_follow_ups, ledger.vault, 100)]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE follow_ups SET next_at = now() + interval '1 minute' WHERE delivery_id = :id RETURNING delivery_id",
        "UPDATE follow_ups SET done_at = now() WHERE delivery_id = :id RETURNING delivery_id",
        "UPDATE follow_ups SET failed_at = now() WHERE delivery_id = :id RETURNING delivery_id",
        """UPDATE deliveries SET state = 'processing', published_at = NULL, armed_at = now()
           WHERE id = :id RETURNING id""",
        "UPDATE deliveries SET remote_id = NULL WHERE id = :id RETURNING id",
        """UPDATE accounts a SET status = 'reconnect' FROM deliveries d
           WHERE d.id = :id AND a.id = d.account_id RETURNING a.id""",
    ],
    ids=["later", "set", "failed", "not published", "no remote id", "reconnect"],
)
def test_a_follow_up_is_claimed_once_nothing_speaks_against_it(ledger: Ledger, change: str) -> None:
    post, other = ledger.fresh(State.PUBLISHED), ledger.fresh(State.PUBLISHED)
    for n, delivery in enumerate([*post.deliveries, *other.deliveries]):
        ledger.change(delivery, f"remote_id = 'live {n}'")
        ledger.do(record_follow_ups, delivery, {"playlist": {"id": "PL1"}})
    assert ledger.do(row, change, id=post.deliveries[0]) is not None
    assert claim(ledger) == other.deliveries
