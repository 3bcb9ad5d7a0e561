"""The delay stage on a database and broker of each test's own, as it concerns everything that is due."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from adapters.contract import Platform
from adapters.errors import RateLimited
from pipeline.actions import resolve as decide
from pipeline.domain.delivery import State
from pipeline.domain.post import slot_end
from pipeline.stages import delay
from pipeline.stages.delay import sweep
from pipeline.stages.publish import publish
from pipeline.store.database import row
from pipeline.wiring import build_context
from tests.actors import TESTER
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.scripted_adapter import Script, raising, with_script
from tests.pipeline.store.ledger import HOUR, Post

PAST = timedelta(seconds=-1)


@pytest.fixture
def core(own: CoreFixture) -> CoreFixture:
    return own


def test_what_is_due_is_queued_and_rung(core: CoreFixture) -> None:
    due = core.ledger.posts(3, [core.accounts["one"]])
    later = core.ledger.post([core.accounts["one"]], due=HOUR)
    other = core.ledger.post([core.account("two", Platform.INSTAGRAM)], platform=Platform.INSTAGRAM)
    looked = core.ledger.post([core.accounts["one"]], State.UNKNOWN)
    assert delay.release_due(core.context) == 5
    assert {s for p in [*due, other] for s in core.ledger.states(p)} == {State.QUEUED}
    assert core.ledger.states(later) == [State.SCHEDULED]
    assert core.ledger.delivery(looked.deliveries[0]).fence == 2
    assert [core.messages(q) for q in ("publish.tiktok", "publish.instagram", "status")] == [3, 1, 1]
    assert delay.release_due(core.context) == 0, "ringing twice does nothing"


@pytest.mark.parametrize("number", [4, 5])
def test_all_looks_that_are_due_are_rung_however_many(core: CoreFixture, number: int) -> None:
    looks = core.ledger.posts(number, [core.accounts["one"]], State.UNKNOWN)
    assert delay.release_due(core.with_settings(delay={"batch": 2}).context) == number
    assert {core.ledger.delivery(p.deliveries[0]).fence for p in looks} == {2}


def test_no_more_than_a_platform_can_take_soon(core: CoreFixture) -> None:
    core.ledger.posts(25, [core.accounts["one"]])
    few = core.with_settings(delay={"ahead": 10, "batch": 4})
    assert delay.release_due(few.context) == 10
    assert delay.release_due(few.context) == 0
    assert delay.release_due(core.with_settings(delay={"ahead": 5}).context) == 0, "its workers are fewer now"
    core.run("UPDATE deliveries SET state = 'failed' WHERE state = 'queued'")
    assert delay.release_due(few.context) == 10


def test_the_sweep_rings_ahead_for_what_is_due_soon(core: CoreFixture) -> None:
    core.ledger.post([core.accounts["one"]], due=timedelta(seconds=1))
    core.ledger.post([core.accounts["one"]], due=HOUR)
    before = core.messages("delay")
    assert sweep(core.context) == 0
    assert core.messages("delay") == before + 1


@pytest.mark.parametrize(("horizon", "rung"), [(60, 2), (6, 1)])
def test_the_sweep_looks_two_of_its_turns_ahead_but_no_further_than_the_horizon(
    core: CoreFixture, horizon: float, rung: int
) -> None:
    for seconds in (3, 8, 13):
        core.ledger.post([core.accounts["one"]], due=timedelta(seconds=seconds))
    slow = core.with_settings(delay={"sweep": 5.0, "horizon": horizon})
    sweep(slow.context)
    assert core.messages("delay") == rung


def test_looks_after_the_visible_call_share_wider_slots(core: CoreFixture) -> None:
    looks = core.ledger.posts(5, [core.accounts["one"]], State.PROCESSING)
    for n, post in enumerate(looks):
        core.ledger.change(post.deliveries[0], "next_at = now() + make_interval(secs => :s)", s=20 + n * 0.3)
    due = [core.ledger.post([core.accounts["one"]], due=timedelta(seconds=20.05 + n * 0.3)) for n in range(5)]
    wide = core.with_settings(delay={"sweep": 30.0, "horizon": 60.0, "look_slot": 7.0, "slot": 0.1})
    sweep(wide.context)

    def slots(posts: list[Post], width: float) -> set[datetime]:
        moments = [core.ledger.delivery(p.deliveries[0]).next_at for p in posts]
        return {slot_end(at, timedelta(seconds=width)) for at in moments}

    assert len(slots(looks, 7)) < len(slots(due, 0.1)) == 5
    assert core.messages("delay") == len(slots(looks, 7) | slots(due, 0.1))


def test_a_broker_that_is_away_loses_nothing(core: CoreFixture, environment: dict[str, str]) -> None:
    from dataclasses import replace

    from config.settings import load

    away = load({**environment, "SLIPWAY_BROKER__URL": "redis+socket:///tmp/nobody-is-here?virtual_host=0"})
    post = core.ledger.post([core.accounts["one"]])
    deaf = build_context(away)
    delay.release_due(replace(core.context, dispatcher=deaf.dispatcher))
    deaf.database.close()
    [delivery] = post.deliveries
    assert core.ledger.state(delivery) is State.QUEUED
    assert core.messages("publish.tiktok") == 0
    core.ledger.change(delivery, "lease_until = now() - interval '1 second'")
    from pipeline.maintenance.rescue_expired_leases import rescue_expired_leases

    core.context.liveness.set_marker()
    assert rescue_expired_leases(core.context) == 1
    assert core.messages("publish.tiktok") == 1


@pytest.mark.parametrize(
    ("on_late", "state", "status"),
    [
        ("skip", State.FAILED, "failed"),
        ("hold", State.BLOCKED, "retry"),
        ("publish", State.QUEUED, "scheduled"),
    ],
)
def test_what_is_too_late_is_treated_as_its_author_asked(
    core: CoreFixture, on_late: str, state: State, status: str
) -> None:
    one = core.with_settings(delay={"batch": 1})
    posts = core.ledger.posts(3, [core.accounts["one"]], expires=PAST, on_late=on_late)
    delay.release_due(one.context)
    assert [core.ledger.states(p) for p in posts] == [[state]] * 3, "none of a second batch slips through"
    assert {core.status(p.id) for p in posts} == {status}
    if state is not State.QUEUED:
        assert core.ledger.delivery(posts[0].deliveries[0]).error["code"] == "expired"
        assert core.ledger.last_why(posts[0].deliveries[0]) == f"too late, on_late is {on_late}"


@pytest.mark.parametrize(
    ("on_late", "state"), [("skip", State.FAILED), ("hold", State.BLOCKED), ("publish", State.QUEUED)]
)
def test_what_a_platform_asks_to_wait_is_ended_by_its_expiry_alone(
    core: CoreFixture, on_late: str, state: State
) -> None:
    post = core.ledger.post([core.accounts["one"]], State.QUEUED)
    [delivery] = post.deliveries
    busy = Script(finalize=raising(RateLimited("slow down", retry_after=HOUR)))
    assert publish(with_script(core.context, busy), delivery, 0) is State.RETRYING
    with core.context.database.begin() as c:
        sql = "UPDATE posts SET expires_at = now(), on_late = :on_late WHERE id = :id RETURNING id"
        row(c, sql, on_late=on_late, id=post.id)
    core.ledger.change(delivery, "next_at = now()")
    delay.release_due(core.context)
    assert core.ledger.state(delivery) is state


def test_what_was_held_for_being_late_goes_out_when_a_person_lets_it(core: CoreFixture) -> None:
    post = core.ledger.post([core.accounts["one"]], expires=PAST, on_late="hold")
    delay.release_due(core.context)
    assert core.ledger.states(post) == [State.BLOCKED]
    decide.resume(core.context, TESTER, post.deliveries[0])
    assert core.ledger.states(post) == [State.RETRYING]
    delay.release_due(core.context)
    assert core.ledger.states(post) == [State.QUEUED]
    assert publish(with_script(core.context, Script()), post.deliveries[0], 0) is State.PUBLISHED
