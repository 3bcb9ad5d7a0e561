"""Claims given back by a worker that shuts down: its own, at once, and no others."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from pipeline.domain.delivery import LOOKED_AT, State
from pipeline.store.deliveries.claim import ClaimedDelivery, Message
from pipeline.store.deliveries.lease import bring_look_forward, requeue_claimed, requeue_looks
from tests.pipeline.store.ledger import LEASE, Ledger

AGO = "updated_at = now() - interval '1 hour', lease_until = now() + interval '3 minutes'"


def claimed(ledger: Ledger, state: State = State.PUBLISHING, *, armed: bool = False) -> ClaimedDelivery:
    post = ledger.fresh()
    ledger.put(post, state, armed=armed)
    ledger.change(post.deliveries[0], AGO)
    return ledger.read_claimed(post.deliveries[0])


def given_back(ledger: Ledger, *some: ClaimedDelivery) -> list[Message]:
    return ledger.do(requeue_claimed, some, LEASE)


def looks_given_back(ledger: Ledger, *some: ClaimedDelivery) -> None:
    ledger.do(requeue_looks, some)


def stands(ledger: Ledger, *some: ClaimedDelivery) -> list[Any]:
    """All that is known of them, but for the time that passes."""
    return [ledger.delivery(held.id)[:-1] for held in some]


def test_what_was_not_armed_is_queued_anew_and_a_new_message_finds_it(shared: Ledger) -> None:
    held = claimed(shared)
    others = [claimed(shared), claimed(shared, armed=True)]
    before = stands(shared, *others)
    [message] = given_back(shared, held)
    found = shared.delivery(held.id)
    assert (found.state, found.fence, found.crashes) == ("queued", held.fence + 1, 0)
    assert (message.delivery, message.platform, message.generation) == (held.id, "tiktok", held.generation)
    assert message.fence == found.fence
    assert found.lease_until - found.updated_at == LEASE
    assert found.now - found.updated_at < timedelta(minutes=30)
    assert shared.moves(held.id)[-1] == ("publish", "publishing", "queued")
    assert stands(shared, *others) == before


def test_what_was_armed_is_rescued_at_once_and_stays_what_it_is(shared: Ledger) -> None:
    armed, other, unarmed = claimed(shared, armed=True), claimed(shared, armed=True), claimed(shared)
    before = stands(shared, other)
    assert [message.delivery for message in given_back(shared, armed, unarmed)] == [unarmed.id]
    found = shared.delivery(armed.id)
    assert (found.state, found.fence, found.armed_at) == ("publishing", armed.fence, armed.armed_at)
    assert timedelta(0) <= found.now - found.lease_until < timedelta(minutes=1), "its lease is over"
    assert shared.delivery(unarmed.id).lease_until > found.now
    assert stands(shared, other) == before


@pytest.mark.parametrize("state", sorted(LOOKED_AT))
def test_a_look_is_held_by_nobody_any_more(shared: Ledger, state: State) -> None:
    held, other = claimed(shared, state), claimed(shared, state)
    before = stands(shared, other)
    looks_given_back(shared, held)
    assert shared.delivery(held.id).lease_until is None
    assert stands(shared, other) == before


WAYS: dict[str, tuple[Callable[..., object], State]] = {
    "a slice": (given_back, State.PUBLISHING),
    "a look": (looks_given_back, State.UNKNOWN),
}


@pytest.mark.parametrize(("way", "state"), WAYS.values(), ids=WAYS.keys())
@pytest.mark.parametrize(
    "change", ["fence = fence + 1", "generation = generation + 1", "state = 'retrying', armed_at = NULL"]
)
@pytest.mark.parametrize("armed", [False, True])
def test_what_was_lost_meanwhile_is_not_given_back(
    shared: Ledger, way: Callable[..., object], state: State, change: str, *, armed: bool
) -> None:
    """Another worker may be sending it."""
    held = claimed(shared, state, armed=armed)
    shared.change(held.id, change)
    before = stands(shared, held)
    way(shared, held)
    assert stands(shared, held) == before


@pytest.mark.parametrize(("way", "state"), WAYS.values(), ids=WAYS.keys())
def test_what_its_holder_is_storing_right_now_is_left_to_him(
    shared: Ledger, way: Callable[..., object], state: State
) -> None:
    held = claimed(shared, state)
    before = stands(shared, held)
    shared.while_locked(held.id, lambda: way(shared, held))
    assert stands(shared, held) == before


# --- look now --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "change", "generation", "does"),
    [
        (State.UNKNOWN, "fence = 1", 0, True),
        (State.PREPARING, "fence = 1", 0, True),
        (State.UNKNOWN, "fence = 1", 1, False),
        (State.SCHEDULED, "fence = 1", 0, False),
        (State.UNKNOWN, "next_at = now() - interval '1 second'", 0, False),
        (State.UNKNOWN, "absent_at = now()", 0, False),
        (State.UNKNOWN, """error = '{"last_look": {"class": "RateLimited"}}'""", 0, False),
        (State.PREPARING, """error = '{"class": "RateLimited"}'""", 0, False),
    ],
)
def test_a_look_is_brought_forward_unless_its_wait_counts(
    shared: Ledger, state: State, change: str, generation: int, *, does: bool
) -> None:
    [delivery], [other] = shared.fresh(state).deliveries, shared.fresh(state).deliveries
    for one in (delivery, other):
        shared.change(one, "next_at = now() + interval '1 hour'")
    shared.change(delivery, change)
    before = [shared.delivery(one).next_at for one in (delivery, other)]
    assert shared.do(bring_look_forward, delivery, generation) is does
    after = [shared.delivery(one).next_at for one in (delivery, other)]
    assert after[1] == before[1], "of one delivery only"
    assert (after[0] != before[0]) is does
