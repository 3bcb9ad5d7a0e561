"""Doorbells, on a database and a broker of each test's own: they concern everything that is due."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from adapters.contract import Platform
from config.settings import Settings
from pipeline.actions import resolve as decide
from pipeline.domain.delivery import State
from pipeline.domain.schedule import slot_end
from pipeline.stages import delay
from pipeline.stages.publish import publish
from pipeline.store.vault import Vault
from pipeline.wiring import build
from tests.pipeline.core_fixture import House, moved_in
from tests.pipeline.scripted_adapter import Script, playing
from tests.pipeline.store.ledger import HOUR, Ledger, Post

PAST = timedelta(seconds=-1)


@pytest.fixture
def house(settings: Settings, vault_key: str) -> Iterator[House]:
    context = build(settings)
    ledger = Ledger(settings.store.url.get_secret_value(), Vault(vault_key))
    made = moved_in(context, ledger)
    made.account("one")
    yield made
    ledger.database.close()
    context.database.close()


def test_what_is_due_is_queued_and_rung(house: House) -> None:
    due = house.ledger.posts(3, [house.accounts["one"]])
    later = house.ledger.post([house.accounts["one"]], due=HOUR)
    other = house.ledger.post([house.account("two", Platform.INSTAGRAM)], platform=Platform.INSTAGRAM)
    looked = house.ledger.post([house.accounts["one"]], State.UNKNOWN)
    assert delay.slot(house.context) == 5
    assert {s for p in [*due, other] for s in house.ledger.states(p)} == {State.QUEUED}
    assert house.ledger.states(later) == [State.SCHEDULED]
    assert house.ledger.delivery(looked.deliveries[0]).fence == 2
    assert [house.messages(q) for q in ("publish.tiktok", "publish.instagram", "status")] == [3, 1, 1]
    assert delay.slot(house.context) == 0, "ringing twice does nothing"


@pytest.mark.parametrize("number", [4, 5])
def test_all_looks_that_are_due_are_rung_however_many(house: House, number: int) -> None:
    looks = house.ledger.posts(number, [house.accounts["one"]], State.UNKNOWN)
    assert delay.slot(house.with_settings(delay={"batch": 2}).context) == number
    assert {house.ledger.delivery(p.deliveries[0]).fence for p in looks} == {2}


def test_no_more_than_a_platform_can_take_soon(house: House) -> None:
    house.ledger.posts(25, [house.accounts["one"]])
    few = house.with_settings(delay={"ahead": 10, "batch": 4})
    assert delay.slot(few.context) == 10
    assert delay.slot(few.context) == 0
    assert delay.slot(house.with_settings(delay={"ahead": 5}).context) == 0, "its workers are fewer now"
    with house.context.database.begin() as c:
        c.exec_driver_sql("UPDATE deliveries SET state = 'failed' WHERE state = 'queued'")
    assert delay.slot(few.context) == 10


def test_the_sweep_rings_ahead_for_what_is_due_soon(house: House) -> None:
    house.ledger.post([house.accounts["one"]], due=timedelta(seconds=1))
    house.ledger.post([house.accounts["one"]], due=HOUR)
    before = house.messages("delay")
    assert delay.sweep(house.context) == 0
    assert house.messages("delay") == before + 1


@pytest.mark.parametrize(("horizon", "rung"), [(60, 2), (6, 1)])
def test_the_sweep_looks_two_of_its_turns_ahead_but_no_further_than_the_horizon(
    house: House, horizon: float, rung: int
) -> None:
    for seconds in (3, 8, 13):
        house.ledger.post([house.accounts["one"]], due=timedelta(seconds=seconds))
    slow = house.with_settings(delay={"sweep": 5.0, "horizon": horizon})
    delay.sweep(slow.context)
    assert house.messages("delay") == rung


def test_looks_after_the_visible_call_share_wider_slots(house: House) -> None:
    looks = house.ledger.posts(5, [house.accounts["one"]], State.PROCESSING)
    for n, post in enumerate(looks):
        house.ledger.change(post.deliveries[0], "next_at = now() + make_interval(secs => :s)", s=20 + n * 0.3)
    due = [
        house.ledger.post([house.accounts["one"]], due=timedelta(seconds=20.05 + n * 0.3)) for n in range(5)
    ]
    wide = house.with_settings(delay={"sweep": 30.0, "horizon": 60.0, "look_slot": 7.0, "slot": 0.1})
    delay.sweep(wide.context)

    def slots(posts: list[Post], width: float) -> set[datetime]:
        moments = [house.ledger.delivery(p.deliveries[0]).next_at for p in posts]
        return {slot_end(at, timedelta(seconds=width)) for at in moments}

    assert len(slots(looks, 7)) < len(slots(due, 0.1)) == 5
    assert house.messages("delay") == len(slots(looks, 7) | slots(due, 0.1))


def test_a_broker_that_is_away_loses_nothing(house: House, environment: dict[str, str]) -> None:
    from dataclasses import replace

    from config.settings import load

    away = load({**environment, "SLIPWAY_BROKER__URL": "redis+socket:///tmp/nobody-is-here?virtual_host=0"})
    post = house.ledger.post([house.accounts["one"]])
    deaf = build(away)
    delay.slot(replace(house.context, dispatcher=deaf.dispatcher))
    deaf.database.close()
    [delivery] = post.deliveries
    assert house.ledger.state(delivery) is State.QUEUED
    assert house.messages("publish.tiktok") == 0
    house.ledger.change(delivery, "lease_until = now() - interval '1 second'")
    from pipeline.maintenance.rescue_expired_leases import rescue_dropped

    house.context.liveness.remember()
    assert rescue_dropped(house.context) == 1
    assert house.messages("publish.tiktok") == 1


@pytest.mark.parametrize(
    ("on_late", "state", "status"),
    [
        ("skip", State.FAILED, "failed"),
        ("hold", State.BLOCKED, "retry"),
        ("publish", State.QUEUED, "scheduled"),
    ],
)
def test_what_is_too_late_is_treated_as_its_author_asked(
    house: House, on_late: str, state: State, status: str
) -> None:
    one = house.with_settings(delay={"batch": 1})
    posts = house.ledger.posts(3, [house.accounts["one"]], expires=PAST, on_late=on_late)
    delay.slot(one.context)
    assert [house.ledger.states(p) for p in posts] == [[state]] * 3, "none of a second batch slips through"
    assert {house.status(p.id) for p in posts} == {status}
    if state is not State.QUEUED:
        assert house.ledger.delivery(posts[0].deliveries[0]).error["code"] == "expired"
        assert house.ledger.last_why(posts[0].deliveries[0]) == f"too late, on_late is {on_late}"


def test_what_was_held_for_being_late_goes_out_when_a_person_lets_it(house: House) -> None:
    post = house.ledger.post([house.accounts["one"]], expires=PAST, on_late="hold")
    delay.slot(house.context)
    assert house.ledger.states(post) == [State.BLOCKED]
    decide.resume(house.context, post.deliveries[0])
    assert house.ledger.states(post) == [State.RETRYING]
    delay.slot(house.context)
    assert house.ledger.states(post) == [State.QUEUED]
    assert publish(playing(house.context, Script()), post.deliveries[0], 0) is State.PUBLISHED
