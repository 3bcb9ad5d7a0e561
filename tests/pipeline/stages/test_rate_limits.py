"""A platform that asks to wait: the post waits without an end, and after three days a person finds it in the list."""

from __future__ import annotations

from datetime import timedelta

import pytest

from adapters.errors import RateLimited
from pipeline.actions.attention import list_attention
from pipeline.domain.delivery import State
from pipeline.domain.steering import Verb
from pipeline.store.deliveries.dead_letters import list_dead_letters
from pipeline.store.deliveries.ownership import OPERATOR
from pipeline.store.deliveries.selection import ListFilter
from tests.pipeline.actions.test_dead_letters import act
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.scripted_adapter import Script, raising
from tests.pipeline.stages.test_outages import age_streak, change, read_streaks, send
from tests.pipeline.store.ledger import Post

BUSY = RateLimited("slow down")


@pytest.fixture
def post(core: CoreFixture) -> Post:
    core.account("one")
    change(core, "DELETE FROM platform_failures RETURNING platform")
    return core.ledger.post([core.accounts["one"]], State.QUEUED)


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
