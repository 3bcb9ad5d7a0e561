"""Outages, rate limits and refusals of our app: what costs a try, what is armed, what is held, and what is paused."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from adapters.contract import Platform
from adapters.errors import (
    AppRefused,
    CredentialsExpired,
    CredentialsRevoked,
    OutcomeUnknown,
    RateLimited,
    Unavailable,
)
from pipeline.actions.attention import list_attention
from pipeline.domain.delivery import State
from pipeline.domain.steering import Verb
from pipeline.stages import delay
from pipeline.stages.publish import publish
from pipeline.stages.status import look
from pipeline.store.database import row
from pipeline.store.deliveries import platform_health as health
from pipeline.store.deliveries.dead_letters import list_dead_letters
from pipeline.store.deliveries.ownership import OPERATOR
from pipeline.store.deliveries.pauses import Pause, lift, list_pauses, pause
from pipeline.store.deliveries.selection import ListFilter
from tests.pipeline.actions.test_dead_letters import act
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.scripted_adapter import Script, raising, with_script
from tests.pipeline.store.ledger import HOUR, Post

QUEUED = "state = 'queued', lease_until = now() + interval '5 minutes', reason = NULL"
DOWN = Unavailable("down")
BUSY = RateLimited("slow down")
REFUSED = AppRefused("The app is on trial.", next_action="Apply for access.", platform_message="No.")


@pytest.fixture
def post(core: CoreFixture) -> Iterator[Post]:
    core.account("one")
    change(core, "DELETE FROM platform_health RETURNING platform")
    change(core, "DELETE FROM platform_failures RETURNING platform")
    yield core.ledger.post([core.accounts["one"]], State.QUEUED)
    with core.context.database.begin() as c:
        lift(c, "platform", Platform.TIKTOK)


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
    change(core, "DELETE FROM platform_health RETURNING platform")
    other = core.ledger.post([core.accounts["one"]], State.QUEUED)
    assert send(core, Script(discover=raising(CredentialsRevoked("no"))), other) is State.PUBLISHED, (
        "a refusal is"
    )


@pytest.mark.parametrize(("code", "lives"), [("no_answer", False), ("source_broke", True)])
def test_a_failed_call_takes_the_sign_of_life_away_and_a_media_source_that_breaks_off_does_not(
    core: CoreFixture, post: Post, code: str, lives: bool
) -> None:
    script = Script(finalize=raising(OutcomeUnknown("lost", platform_code=code)))
    assert send(core, script, post) is State.UNKNOWN
    with core.context.database.once() as c:
        assert health.has_sign_of_life(c, Platform.TIKTOK) is lives


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


# --- a platform that asks to wait: without an end, and after three days a person finds it in the list ----------------


def list_letters(core: CoreFixture) -> list[str]:
    with core.context.database.begin() as c:
        found = list_dead_letters(c, ListFilter(account=core.accounts["one"]), limit=10)
    return [str(letter.id) for letter in found]


def test_it_waits_more_often_than_its_tries_and_is_no_dead_letter(core: CoreFixture, post: Post) -> None:
    for _ in range(7):
        assert send(core, Script(finalize=raising(BUSY)), post) is State.RETRYING
    assert core.ledger.delivery(post.deliveries[0]).spent == 0
    assert list(read_streaks(core, post)) == ["rate_limit"]
    assert list_letters(core) == []


def test_after_three_days_it_is_a_dead_letter_that_is_replayed(core: CoreFixture, post: Post) -> None:
    [delivery] = post.deliveries
    core.ledger.change(delivery, "next_at = now()")
    age_streak(core, post, "3 days 1 minute", "rate_limit")
    assert send(core, Script(finalize=raising(BUSY)), post) is State.BLOCKED
    found = core.ledger.delivery(delivery)
    assert (found.reason, found.armed_at, found.spent) == ("person_needed", None, 0)
    assert "3 days" in found.error["message"]
    assert list_letters(core) == [str(delivery)]
    with core.context.database.begin() as c:
        listed = list_attention(c, timedelta(minutes=2))
    assert [
        (item.matter.reason, item.matter.code) for item in listed if item.matter.error_class == "RateLimited"
    ] == [("person_needed", found.error["code"])]
    assert act(core.context, Verb.REPLAY, OPERATOR, [delivery]).done == [delivery]
    assert read_streaks(core, post) == {}
    assert send(core, Script(finalize=raising(BUSY)), post) is State.RETRYING, "it waits for three days more"
    assert send(core, Script(), post) is State.PUBLISHED


def test_another_answer_ends_the_streak(core: CoreFixture, post: Post) -> None:
    core.ledger.change(post.deliveries[0], "next_at = now()")
    age_streak(core, post, "2 days", "rate_limit")
    assert send(core, Script(), post) is State.PUBLISHED
    assert read_streaks(core, post) == {}


# --- a platform that refuses our app as a whole is paused, and nothing is lost ---------------------------------------


def read_pause(core: CoreFixture) -> Pause | None:
    with core.context.database.begin() as c:
        found = [one for one in list_pauses(c) if one.target == Platform.TIKTOK]
    return found[0] if found else None


@pytest.mark.parametrize(
    "script",
    [
        Script(prepare=raising(REFUSED)),
        Script(finalize=raising(REFUSED)),
        Script(discover=raising(REFUSED)),
        Script(prepare=raising(CredentialsExpired("stale")), refresh=raising(REFUSED)),
    ],
    ids=["prepare", "finalize", "sign of life", "refresh"],
)
def test_the_platform_is_paused_with_its_why_and_the_post_waits(
    core: CoreFixture, post: Post, script: Script, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        assert send(core, script, post) is State.RETRYING
    made = read_pause(core)
    assert made is not None
    assert made.why == "The app is on trial. Apply for access. No."
    found = core.ledger.delivery(post.deliveries[0])
    assert (found.spent, found.armed_at) == (0, None)
    assert [r.message for r in caplog.records if "ALARM" in r.message] == [
        f"ALARM publishing to tiktok is paused: {made.why} Then: slipway pause lift platform tiktok"
    ]


def test_nothing_is_sent_while_it_is_paused_and_there_is_one_alarm(
    core: CoreFixture, post: Post, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            send(core, Script(prepare=raising(REFUSED)), post)
    assert sum("ALARM" in r.message for r in caplog.records) == 1
    script = Script()
    assert send(core, script, post) is State.SCHEDULED, "not armed"
    assert script.made("finalize") == 0
    with core.context.database.begin() as c:
        assert lift(c, "platform", Platform.TIKTOK)
    assert send(core, Script(), post) is State.PUBLISHED


def test_a_look_that_is_refused_pauses_it_and_the_armed_delivery_stays(core: CoreFixture, post: Post) -> None:
    held = core.ledger.armed(core.ledger.post([core.accounts["one"]]))
    core.ledger.change(held.id, "state = 'processing', lease_until = NULL, next_at = now()")
    found = core.ledger.delivery(held.id)
    context = with_script(core.context, Script(look=raising(REFUSED)))
    assert look(context, held.id, found.generation, found.fence) is State.PROCESSING
    assert read_pause(core) is not None


def test_the_pause_of_an_operator_keeps_its_why(core: CoreFixture, post: Post) -> None:
    change(
        core,
        "INSERT INTO pauses (scope, target, why) VALUES ('platform', 'tiktok', 'under review') RETURNING scope",
    )
    send(core, Script(prepare=raising(REFUSED)), post)
    kept = read_pause(core)
    assert kept is not None
    assert kept.why == "under review"
