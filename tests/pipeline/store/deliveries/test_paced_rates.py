"""Rate limits hold across connections, and a concurrent caller gets zero instead of waiting."""

from __future__ import annotations

from pipeline.store.deliveries import paced_rates as paces
from tests.pipeline.store.ledger import Ledger


def test_who_asks_while_another_sends_gets_nothing_and_does_not_wait(ledger: Ledger) -> None:
    assert ledger.do(paces.count_allowed, "backlog", "tiktok", 10) == 10, "the first ever"
    with ledger.database.begin() as first, ledger.database.begin() as second:
        assert paces.count_allowed(first, "backlog", "tiktok", 10) == 10
        paces.record_sent(first, "backlog", "tiktok", 10, 10)
        assert paces.count_allowed(second, "backlog", "tiktok", 10) == 0
        assert paces.count_allowed(second, "backlog", "youtube", 10) == 10, (
            "another platform's is another rate"
        )
