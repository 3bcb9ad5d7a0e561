from __future__ import annotations

from pipeline.domain.delivery import State
from pipeline.maintenance.rescue_expired_leases import rescue_dropped
from pipeline.store.deliveries.claimed import ClaimedDelivery
from tests.pipeline.core_fixture import House
from tests.pipeline.store.ledger import together

OVER = "lease_until = now() - interval '1 second'"


def dies(house: House, held: ClaimedDelivery) -> None:
    house.ledger.change(held.id, OVER)


def test_nothing_sent_it_goes_back_and_is_rung(house: House) -> None:
    post = house.ledger.post([house.accounts["one"]])
    held = house.ledger.claimed(post)
    assert rescue_dropped(house.context) == 0, "its worker still has time"
    dies(house, held)
    assert rescue_dropped(house.context) == 1
    assert house.ledger.states(post) == [State.QUEUED]
    assert house.messages("publish.tiktok") == 1
    assert house.ledger.claimed(post).fence == held.fence + 2


def test_one_that_kills_its_workers_is_set_aside_with_its_evidence(house: House) -> None:
    post = house.ledger.post([house.accounts["one"]])
    for n in range(house.context.settings.publish.crashes):
        assert house.ledger.delivery(post.deliveries[0]).crashes == n
        dies(house, house.ledger.claimed(post))
        rescue_dropped(house.context)
    found = house.ledger.delivery(post.deliveries[0])
    assert (found.state, found.reason, found.error["code"]) == ("blocked", "person_needed", "poison")
    assert "3 times" in found.error["message"]
    assert found.error["next_action"]
    assert house.messages("publish.tiktok") == house.context.settings.publish.crashes - 1


def test_armed_it_is_looked_at_and_never_sent_again(house: House) -> None:
    post = house.ledger.post([house.accounts["one"]])
    dies(house, house.ledger.armed(post))
    rescue_dropped(house.context)
    found = house.ledger.delivery(post.deliveries[0])
    assert (found.state, found.error["code"]) == ("unknown", "outcome_unknown")
    assert found.armed_at is not None
    assert house.messages("publish.tiktok") == 0


def test_a_ring_that_was_lost_is_rung_again(house: House) -> None:
    post = house.ledger.post([house.accounts["one"]], State.QUEUED)
    assert rescue_dropped(house.context) == 0
    house.ledger.change(post.deliveries[0], OVER)
    assert rescue_dropped(house.context) == 1
    assert house.messages("publish.tiktok") == 1
    assert rescue_dropped(house.context) == 0


def test_two_upkeeps_at_once_do_no_more_than_one(house: House) -> None:
    posts = house.ledger.posts(20, [house.accounts["one"]])
    for post in posts:
        dies(house, house.ledger.claimed(post))
    together(*[lambda: rescue_dropped(house.context)] * 4)
    assert [house.ledger.states(p) for p in posts] == [[State.QUEUED]] * 20
    assert {house.ledger.delivery(p.deliveries[0]).crashes for p in posts} == {1}
    moves = [m for p in posts for m in house.ledger.moves(p.deliveries[0]) if m[0] == "rescue"]
    assert len(moves) == 20


LONG_AGO = "updated_at = now() - interval '11 seconds'"


def test_what_stands_in_an_empty_queue_is_rung_again_within_seconds(house: House) -> None:
    post = house.ledger.post([house.accounts["one"]], State.QUEUED)
    house.ledger.change(post.deliveries[0], LONG_AGO)
    assert rescue_dropped(house.context) == 1
    assert house.messages("publish.tiktok") == 1
    house.ledger.change(post.deliveries[0], LONG_AGO)
    assert rescue_dropped(house.context) == 0, "its message waits: nobody rings again"


def test_a_look_whose_ring_was_lost_is_rung_again_within_seconds(house: House) -> None:
    post = house.ledger.post([house.accounts["one"]], State.UNKNOWN)
    rung = "next_at = now(), lease_until = now() + interval '290 seconds'"
    house.ledger.change(post.deliveries[0], f"{rung}, {LONG_AGO}")
    fence = house.ledger.delivery(post.deliveries[0]).fence
    assert rescue_dropped(house.context) == 1
    assert house.messages("status") == 1
    assert house.ledger.delivery(post.deliveries[0]).fence == fence + 1


def test_a_look_that_somebody_holds_is_left_to_them(house: House) -> None:
    post = house.ledger.post([house.accounts["one"]], State.UNKNOWN)
    lease = house.context.settings.publish.lease
    held = f"next_at = now(), lease_until = now() + interval '{lease - 11} seconds'"
    house.ledger.change(post.deliveries[0], f"{held}, {LONG_AGO}")
    assert rescue_dropped(house.context) == 0
    assert house.messages("status") == 0
