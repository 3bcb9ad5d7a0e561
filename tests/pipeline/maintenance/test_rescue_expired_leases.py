"""Rescue of expired leases: what is queued again, blocked or looked at."""

from __future__ import annotations

from pipeline.domain.delivery import State
from pipeline.maintenance.rescue_expired_leases import rescue_expired_leases
from pipeline.store.deliveries.claim import ClaimedDelivery
from tests.pipeline.core_fixture import CoreFixture

OVER = "lease_until = now() - interval '1 second'"
LONG_AGO = "updated_at = now() - interval '11 seconds'"


def dies(core: CoreFixture, held: ClaimedDelivery) -> None:
    core.ledger.change(held.id, OVER)


def test_nothing_sent_it_goes_back_and_is_rung_and_what_was_armed_is_looked_at(core: CoreFixture) -> None:
    post, armed = (core.ledger.post([core.accounts["one"]]) for _ in range(2))
    held, sent = core.ledger.claimed(post), core.ledger.armed(armed)
    assert rescue_expired_leases(core.context) == 0, "their worker still has time"
    dies(core, held)
    core.ledger.change(sent.id, OVER)
    assert rescue_expired_leases(core.context) == 2
    assert core.ledger.states(post) == [State.QUEUED]
    assert core.messages("publish.tiktok") == 1
    found = core.ledger.delivery(sent.id)
    assert (found.state, found.error["code"]) == ("unknown", "outcome_unknown"), "never sent again"
    assert found.armed_at is not None
    assert core.ledger.claimed(post).fence == held.fence + 2


def test_a_lost_message_is_sent_again_after_a_lease_or_within_seconds_where_its_queue_is_empty(
    core: CoreFixture,
) -> None:
    post = core.ledger.post([core.accounts["one"]], State.QUEUED)
    assert rescue_expired_leases(core.context) == 0
    core.ledger.change(post.deliveries[0], LONG_AGO)
    assert rescue_expired_leases(core.context) == 1
    assert core.messages("publish.tiktok") == 1
    core.ledger.change(post.deliveries[0], LONG_AGO)
    assert rescue_expired_leases(core.context) == 0, "its message waits: none is sent again"
    core.ledger.change(post.deliveries[0], OVER)
    assert rescue_expired_leases(core.context) == 1
    assert core.messages("publish.tiktok") == 2


def test_one_that_kills_its_workers_is_set_aside_with_its_evidence(core: CoreFixture) -> None:
    post = core.ledger.post([core.accounts["one"]])
    for n in range(core.context.settings.publish.crashes):
        assert core.ledger.delivery(post.deliveries[0]).crashes == n
        dies(core, core.ledger.claimed(post))
        rescue_expired_leases(core.context)
    found = core.ledger.delivery(post.deliveries[0])
    assert (found.state, found.reason, found.error["code"]) == ("blocked", "person_needed", "poison")
    assert "3 times" in found.error["message"]
    assert found.error["next_action"]
    assert core.messages("publish.tiktok") == core.context.settings.publish.crashes - 1


def test_a_look_whose_ring_was_lost_is_rung_again_within_seconds(core: CoreFixture) -> None:
    post = core.ledger.post([core.accounts["one"]], State.UNKNOWN)
    rung = "next_at = now(), lease_until = now() + interval '290 seconds'"
    core.ledger.change(post.deliveries[0], f"{rung}, {LONG_AGO}")
    fence = core.ledger.delivery(post.deliveries[0]).fence
    assert rescue_expired_leases(core.context) == 1
    assert core.messages("status") == 1
    assert core.ledger.delivery(post.deliveries[0]).fence == fence + 1
