"""A broker without data is filled from the ledger, by command and by the maintenance jobs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from config.settings import load
from pipeline.domain.delivery import State
from pipeline.limits.rate_buckets import create_redis_client
from pipeline.maintenance.rebuild_broker import BrokerUnreachable, Dispatched, rebuild_broker
from pipeline.maintenance.rescue_expired_leases import MESSAGES, redispatch_checks, rescue_expired_leases
from pipeline.stages import delay
from pipeline.wiring import build_context
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.store.ledger import HOUR

FAST = 100_000.0


def forget(core: CoreFixture) -> None:
    client = create_redis_client(core.context.settings.broker.url.get_secret_value())
    client.flushdb()
    client.close()


def rebuilt(core: CoreFixture) -> Dispatched:
    heard: list[Dispatched] = []
    done = rebuild_broker(core.context, per_second=FAST, on_progress=heard.append)
    assert heard[-1] == done
    return done


def test_everything_that_waits_is_rung_again_and_nothing_else(core: CoreFixture) -> None:
    core.ledger.posts(450, [core.accounts["one"]])
    [later] = core.ledger.posts(1, [core.accounts["one"]], due=HOUR)
    delay.release_due(core.context)
    look = core.ledger.post([core.accounts["one"]], State.UNKNOWN)
    delay.release_due(core.context)
    held = core.ledger.post([core.accounts["one"]], State.UNKNOWN)
    core.ledger.change(held.deliveries[0], "lease_until = now() + interval '100 seconds'")
    core.ledger.check(core.workspace, "https://media.example/new.mp4")
    fences = {p.deliveries[0]: core.ledger.delivery(p.deliveries[0]).fence for p in (look, held)}
    forget(core)
    assert core.messages("publish.tiktok") == 0

    done = rebuilt(core)
    assert (done.deliveries, done.looks, done.checks) == (450, 1, 1)
    assert core.messages("status") == 1
    assert core.messages("reachability") == 1
    assert core.ledger.states(later) == [State.SCHEDULED]
    after = {d: core.ledger.delivery(d).fence for d in fences}
    assert after == {
        look.deliveries[0]: fences[look.deliveries[0]] + 1,
        held.deliveries[0]: fences[held.deliveries[0]],
    }


def test_what_became_due_meanwhile_goes_out_too_and_a_second_time_does_no_harm(core: CoreFixture) -> None:
    posts = core.ledger.posts(2, [core.accounts["one"]])
    assert rebuilt(core) == Dispatched(released=2)
    assert (rebuilt(core).deliveries, rebuilt(core).deliveries) == (2, 2)
    assert {s for p in posts for s in core.ledger.states(p)} == {State.QUEUED}
    assert core.messages("publish.tiktok") == 6, "two of three of each find nothing to do"


def test_a_broker_that_is_away_is_said_and_costs_nothing(
    core: CoreFixture, environment: dict[str, str]
) -> None:
    away = load({**environment, "SLIPWAY_BROKER__URL": "redis+socket:///tmp/nobody-is-here?virtual_host=0"})
    deaf = build_context(away)
    post = core.ledger.post([core.accounts["one"]], State.QUEUED)
    with pytest.raises(BrokerUnreachable):
        rebuild_broker(
            replace(core.context, dispatcher=deaf.dispatcher), per_second=FAST, on_progress=lambda _: None
        )
    deaf.database.close()
    assert core.ledger.states(post) == [State.QUEUED]
    assert rebuilt(core).deliveries == 1


def test_the_chore_rings_all_that_was_lost_in_one_run(core: CoreFixture) -> None:
    posts = core.ledger.posts(1200, [core.accounts["one"]])
    delay.release_due(core.context)
    forget(core)
    core.context.liveness.set_marker()
    assert rescue_expired_leases(core.context) == 0, "it may be on its way"
    core.run("UPDATE deliveries SET updated_at = now() - interval '11 seconds'")
    assert rescue_expired_leases(core.context) == len(posts)
    assert core.messages("publish.tiktok") > 0


def test_a_broker_that_forgot_everything_is_refilled_at_once_however_busy_it_is_again(
    core: CoreFixture,
) -> None:
    posts = core.ledger.posts(3, [core.accounts["one"]])
    delay.release_due(core.context)
    assert rescue_expired_leases(core.context) == 0
    forget(core)
    core.ledger.posts(2, [core.accounts["one"]])
    delay.release_due(core.context)
    assert core.messages("publish.tiktok") == 2
    assert rescue_expired_leases(core.context) == len(posts) + 2
    assert core.messages("publish.tiktok") == 2 + 5
    assert rescue_expired_leases(core.context) == 0, "once"


def test_checks_that_nobody_takes_do_not_fill_the_broker(core: CoreFixture) -> None:
    for n in range(20):
        core.ledger.check(core.workspace, f"https://media.example/{n}.mp4")
    for _ in range(40):
        redispatch_checks(core.context)
    assert core.messages("reachability") <= MESSAGES
