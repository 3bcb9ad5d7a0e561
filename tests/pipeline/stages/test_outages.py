"""Outages in the stages: what costs a try, what is armed, what an open circuit breaker holds."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from adapters.contract import Draft, Platform
from adapters.errors import CredentialsRevoked, OutcomeUnknown, Unavailable
from pipeline.domain.delivery import State
from pipeline.stages import delay
from pipeline.stages.publish import publish
from pipeline.store.database import row
from pipeline.store.deliveries import platform_health as health
from pipeline.store.deliveries.pauses import lift, pause
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.scripted_adapter import Script, raising, with_script
from tests.pipeline.store.ledger import HOUR, Post

QUEUED = "state = 'queued', lease_until = now() + interval '5 minutes', reason = NULL"
DOWN = Unavailable("down")


@pytest.fixture
def post(core: CoreFixture) -> Post:
    core.account("one")
    change(core, "DELETE FROM platform_health RETURNING platform")
    change(core, "DELETE FROM platform_failures RETURNING platform")
    return core.ledger.post([core.accounts["one"]], State.QUEUED)


def change(core: CoreFixture, sql: str, **values: Any) -> None:
    with core.context.database.begin() as c:
        row(c, sql, **values)


def send(core: CoreFixture, script: Script, post: Post) -> State | None:
    """Do one slice of work, with the delivery queued first."""
    [delivery] = post.deliveries
    if core.ledger.state(delivery) is not State.QUEUED:
        core.ledger.change(delivery, QUEUED)
    return publish(with_script(core.context, script), delivery, core.ledger.delivery(delivery).generation)


def age_streak(core: CoreFixture, post: Post, age: str, party: str = "platform") -> None:
    core.ledger.change(
        post.deliveries[0],
        "unavailable_since = jsonb_build_object(CAST(:party AS text), now() - CAST(:age AS interval))",
        party=party,
        age=age,
    )


def read_streaks(core: CoreFixture, post: Post) -> dict[str, datetime]:
    stored = core.ledger.delivery(post.deliveries[0]).unavailable_since or {}
    return {party: datetime.fromisoformat(since) for party, since in stored.items()}


def open_breaker(core: CoreFixture, probe: timedelta = timedelta(0)) -> None:
    change(
        core,
        """INSERT INTO platform_health (platform, failed_at, opened_at, probe_at, why)
            VALUES ('tiktok', now(), now(), now() + :probe, 'test') ON CONFLICT (platform) DO UPDATE
            SET failed_at = now(), opened_at = now(), probe_at = excluded.probe_at, why = 'test', probe_id = NULL
            RETURNING platform""",
        probe=probe,
    )


# --- the patience ----------------------------------------------------------------------------------------------------


def test_many_failures_cost_no_try_and_keep_the_first_moment(core: CoreFixture, post: Post) -> None:
    first = None
    for _ in range(7):
        assert send(core, Script(prepare=raising(DOWN)), post) is State.RETRYING
        core.ledger.change(post.deliveries[0], "next_at = now()")
        found = core.ledger.delivery(post.deliveries[0])
        first = first or read_streaks(core, post)["platform"]
        assert found.spent == 0
        assert read_streaks(core, post)["platform"] - first < timedelta(seconds=5), (
            "less the time in the queue"
        )
    assert len(core.ledger.attempts(post.deliveries[0])) == 1, "the attempt stays open"
    assert send(core, Script(), post) is State.PUBLISHED
    assert (core.ledger.delivery(post.deliveries[0]).spent, read_streaks(core, post)) == (1, {})


def test_the_patience_ends_in_a_dead_letter_of_its_own_cause(core: CoreFixture, post: Post) -> None:
    core.ledger.change(post.deliveries[0], "next_at = now()")
    age_streak(core, post, "6 hours 1 minute")  # less the time in the queue
    assert send(core, Script(prepare=raising(DOWN)), post) is State.FAILED
    error = core.ledger.delivery(post.deliveries[0]).error
    assert (error["code"], error["class"], error["fault"]) == ("platform_outage", "Unavailable", "platform")


def test_time_held_does_not_count(core: CoreFixture, post: Post) -> None:
    core.ledger.change(post.deliveries[0], "next_at = now() - interval '3 hours'")
    age_streak(core, post, "8 hours")
    assert send(core, Script(prepare=raising(DOWN)), post) is State.RETRYING
    age = core.ledger.delivery(post.deliveries[0]).now - read_streaks(core, post)["platform"]
    assert timedelta(hours=4, minutes=59) < age < timedelta(hours=5, minutes=1)


def test_a_hold_moves_the_streak_and_an_answer_ends_it(core: CoreFixture, post: Post) -> None:
    core.ledger.change(
        post.deliveries[0], f"due_at = now() + interval '{HOUR.total_seconds():g} s', next_at = now()"
    )
    age_streak(core, post, "1 hour")
    assert send(core, Script(), post) is State.SCHEDULED, "prepared early"
    found = core.ledger.delivery(post.deliveries[0])
    assert abs(read_streaks(core, post)["platform"] - found.now) < timedelta(minutes=1)


def test_a_lifted_pause_begins_anew(core: CoreFixture, post: Post) -> None:
    assert send(core, Script(prepare=raising(DOWN)), post) is State.RETRYING
    assert read_streaks(core, post)
    with core.context.database.begin() as c:
        pause(c, "platform", "tiktok", "why")
        assert lift(c, "platform", "tiktok")
    assert read_streaks(core, post) == {}


# --- signs of life ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [DOWN, OutcomeUnknown("garbage")])
def test_without_a_sign_of_life_nothing_is_armed(core: CoreFixture, post: Post, error: Exception) -> None:
    script = Script(discover=raising(error))
    assert send(core, script, post) is State.RETRYING
    found = core.ledger.delivery(post.deliveries[0])
    assert (script.made("finalize"), found.armed_at, found.spent) == (0, None, 0)
    assert list(read_streaks(core, post)) == ["platform"]
    core.ledger.change(post.deliveries[0], "next_at = now()")
    script = Script()
    assert send(core, script, post) is State.PUBLISHED, "one cheap read is enough"


def test_an_answer_to_any_delivery_is_a_sign_of_life(core: CoreFixture, post: Post) -> None:
    change(
        core,
        "INSERT INTO platform_health (platform, answered_at) VALUES ('tiktok', now()) RETURNING platform",
    )
    assert send(core, Script(discover=raising(DOWN)), post) is State.PUBLISHED


def test_a_refusal_in_the_envelope_is_a_sign_of_life(core: CoreFixture, post: Post) -> None:
    assert send(core, Script(discover=raising(CredentialsRevoked("no"))), post) is State.PUBLISHED


def test_a_failed_call_takes_the_sign_of_life_away(core: CoreFixture, post: Post) -> None:
    def finalize(draft: Draft, _: Any) -> Any:
        raise OutcomeUnknown("lost", platform_code="no_answer")

    assert send(core, Script(finalize=finalize), post) is State.UNKNOWN
    with core.context.database.once() as c:
        assert not health.has_sign_of_life(c, Platform.TIKTOK)


def test_a_media_source_that_breaks_off_says_nothing_about_the_platform(
    core: CoreFixture, post: Post
) -> None:
    script = Script(finalize=raising(OutcomeUnknown("broken off", platform_code="source_broke")))
    assert send(core, script, post) is State.UNKNOWN
    with core.context.database.once() as c:
        assert health.has_sign_of_life(c, Platform.TIKTOK)


# --- the circuit breaker ---------------------------------------------------------------------------------------------


def test_an_open_breaker_holds_what_is_queued(core: CoreFixture, post: Post) -> None:
    open_breaker(core)
    script = Script()
    assert send(core, script, post) is State.SCHEDULED
    assert script.calls == []
    found = core.ledger.delivery(post.deliveries[0])
    assert (found.spent, found.next_at <= found.now) == (0, True)


def test_only_the_probe_is_released_and_its_answer_lets_the_others_go(core: CoreFixture) -> None:
    account = core.account("one")
    posts = [core.ledger.post([account], due=-timedelta(seconds=n)) for n in range(1, 4)]
    open_breaker(core, HOUR)
    delay.release_due(core.context)
    states = [core.ledger.states(post)[0] for post in posts]
    assert states == [State.SCHEDULED] * 3
    open_breaker(core)
    delay.release_due(core.context)
    delay.release_due(core.context)
    queued = [post for post in posts if core.ledger.states(post) == [State.QUEUED]]
    assert len(queued) == 1, "one a minute"
    assert send(core, Script(), queued[0]) is State.PUBLISHED
    delay.release_due(core.context)
    assert State.SCHEDULED not in [core.ledger.states(post)[0] for post in posts]
