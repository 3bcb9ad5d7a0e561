"""A broker that has forgotten everything, filled again out of the ledger; the chores do the same by themselves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from config.settings import load
from pipeline.domain.delivery import State
from pipeline.maintenance.rebuild_broker import BrokerAway, Dispatched, rebuild_broker
from pipeline.maintenance.redispatch_checks import BATCH, ring_checks
from pipeline.maintenance.rescue_expired_leases import rescue_dropped
from pipeline.rate_buckets import redis_client
from pipeline.stages import delay
from pipeline.wiring import build
from tests.pipeline.core_fixture import House
from tests.pipeline.store.ledger import HOUR

FAST = 100_000.0


def forget(house: House) -> None:
    client = redis_client(house.context.settings.broker.url.get_secret_value())
    client.flushdb()
    client.close()


def rebuilt(house: House) -> Dispatched:
    heard: list[Dispatched] = []
    done = rebuild_broker(house.context, per_second=FAST, told=heard.append)
    assert heard[-1] == done
    return done


def test_everything_that_waits_is_rung_again_and_nothing_else(house: House) -> None:
    house.ledger.posts(450, [house.accounts["one"]])
    [later] = house.ledger.posts(1, [house.accounts["one"]], due=HOUR)
    delay.slot(house.context)
    look = house.ledger.post([house.accounts["one"]], State.UNKNOWN)
    delay.slot(house.context)
    held = house.ledger.post([house.accounts["one"]], State.UNKNOWN)
    house.ledger.change(held.deliveries[0], "lease_until = now() + interval '100 seconds'")
    house.ledger.check(house.workspace, "https://media.example/new.mp4")
    fences = {p.deliveries[0]: house.ledger.delivery(p.deliveries[0]).fence for p in (look, held)}
    forget(house)
    assert house.messages("publish.tiktok") == 0

    done = rebuilt(house)
    assert (done.deliveries, done.looks, done.checks) == (450, 1, 1)
    assert house.messages("status") == 1
    assert house.messages("reachability") == 1
    assert house.ledger.states(later) == [State.SCHEDULED]
    after = {d: house.ledger.delivery(d).fence for d in fences}
    assert after == {
        look.deliveries[0]: fences[look.deliveries[0]] + 1,
        held.deliveries[0]: fences[held.deliveries[0]],
    }


def test_a_second_time_does_no_harm(house: House) -> None:
    posts = house.ledger.posts(3, [house.accounts["one"]])
    delay.slot(house.context)
    assert (rebuilt(house).deliveries, rebuilt(house).deliveries) == (3, 3)
    assert {s for p in posts for s in house.ledger.states(p)} == {State.QUEUED}
    assert house.messages("publish.tiktok") == 9, "two of three of each find nothing to do"


def test_what_became_due_meanwhile_goes_out_too(house: House) -> None:
    house.ledger.posts(2, [house.accounts["one"]])
    assert rebuilt(house) == Dispatched(released=2)


def test_a_broker_that_is_away_is_said_and_costs_nothing(house: House, environment: dict[str, str]) -> None:
    away = load({**environment, "SLIPWAY_BROKER__URL": "redis+socket:///tmp/nobody-is-here?virtual_host=0"})
    deaf = build(away)
    post = house.ledger.post([house.accounts["one"]], State.QUEUED)
    with pytest.raises(BrokerAway):
        rebuild_broker(
            replace(house.context, dispatcher=deaf.dispatcher), per_second=FAST, told=lambda _: None
        )
    deaf.database.close()
    assert house.ledger.states(post) == [State.QUEUED]
    assert rebuilt(house).deliveries == 1


def test_the_chore_rings_all_that_was_lost_in_one_run(house: House) -> None:
    posts = house.ledger.posts(1200, [house.accounts["one"]])
    delay.slot(house.context)
    forget(house)
    house.context.liveness.remember()
    assert rescue_dropped(house.context) == 0, "it may be on its way"
    with house.context.database.begin() as c:
        c.exec_driver_sql("UPDATE deliveries SET updated_at = now() - interval '11 seconds'")
    assert rescue_dropped(house.context) == len(posts)
    assert house.messages("publish.tiktok") > 0


def test_a_broker_that_forgot_everything_is_refilled_at_once_however_busy_it_is_again(house: House) -> None:
    posts = house.ledger.posts(3, [house.accounts["one"]])
    delay.slot(house.context)
    assert rescue_dropped(house.context) == 0
    forget(house)
    house.ledger.posts(2, [house.accounts["one"]])
    delay.slot(house.context)
    assert house.messages("publish.tiktok") == 2
    assert rescue_dropped(house.context) == len(posts) + 2
    assert house.messages("publish.tiktok") == 2 + 5
    assert rescue_dropped(house.context) == 0, "once"


def test_checks_that_nobody_takes_do_not_fill_the_broker(house: House) -> None:
    for n in range(20):
        house.ledger.check(house.workspace, f"https://media.example/{n}.mp4")
    for _ in range(40):
        ring_checks(house.context)
    assert house.messages("reachability") <= BATCH
