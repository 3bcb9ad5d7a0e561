"""A refusal of the visible call proves that nothing is live: the delivery is disarmed at once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from adapters.errors import CredentialsExpired
from pipeline.store.deliveries.arm import disarm
from pipeline.store.deliveries.claim import ClaimedDelivery
from tests.pipeline.store.ledger import Ledger

STALE = CredentialsExpired("stale")


def disarmed(ledger: Ledger, held: ClaimedDelivery) -> None:
    ledger.do_once(disarm, held, STALE)


def stands(ledger: Ledger, held: ClaimedDelivery) -> tuple[Any, list[Any]]:
    return ledger.delivery(held.id)[:-1], ledger.attempts(held.id)


def test_it_is_armed_no_longer_its_attempt_is_closed_and_its_holder_keeps_it(shared: Ledger) -> None:
    held, other = shared.armed(shared.fresh()), shared.armed(shared.fresh())
    before = stands(shared, other)
    shared.change(held.id, "updated_at = now() - interval '1 hour'")
    disarmed(shared, held)
    found = shared.delivery(held.id)
    assert (found.state, found.fence, found.generation) == ("publishing", held.fence, held.generation)
    assert (found.armed_at, found.armed_deadline, found.working_since) == (None, None, None)
    assert found.now - found.updated_at < timedelta(minutes=30)
    [attempt] = shared.attempts(held.id)
    assert (attempt.outcome, attempt.error["message"]) == ("refused", "stale")
    assert attempt.closed_at == found.updated_at
    assert stands(shared, other) == before


def test_an_attempt_that_is_closed_already_stays_as_it_was(shared: Ledger) -> None:
    post = shared.fresh()
    disarmed(shared, shared.armed(post))
    [first] = shared.attempts(post.deliveries[0])
    disarmed(shared, shared.armed(post))
    assert shared.attempts(post.deliveries[0])[0] == first


@pytest.mark.parametrize("change", ["fence = fence + 1", "generation = generation + 1", "state = 'unknown'"])
def test_of_a_claim_that_was_lost_nothing_is_disarmed(shared: Ledger, change: str) -> None:
    """Another worker may have armed it since."""
    held = shared.armed(shared.fresh())
    shared.change(held.id, change)
    before = stands(shared, held)
    disarmed(shared, held)
    assert stands(shared, held) == before
