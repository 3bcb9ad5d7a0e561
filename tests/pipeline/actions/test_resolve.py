from __future__ import annotations

from datetime import timedelta

import pytest

from adapters.contract import Platform
from pipeline.actions import resolve as decide
from pipeline.actions.resolve import CannotDecide
from pipeline.domain.delivery import Reason, State
from pipeline.stages.retry_inputs import settle_window
from pipeline.store.database import new_id
from tests.pipeline.core_fixture import House
from tests.pipeline.store.ledger import Post

LONG = timedelta(hours=1)
URL = "https://t.example/seen"


def standing(house: House, state: State, *, armed: bool = False, reason: Reason | None = None) -> Post:
    post = house.ledger.post([house.accounts.get("one") or house.account("one")])
    house.ledger.put(post, state, armed=armed, reason=reason)
    return post


@pytest.mark.parametrize(
    ("state", "armed"), [(State.UNKNOWN, True), (State.BLOCKED, True), (State.BLOCKED, False)]
)
def test_a_person_saw_it_live(house: House, state: State, *, armed: bool) -> None:
    post = standing(house, state, armed=armed)
    held = house.ledger.held(post.deliveries[0])
    decide.it_is_live(house.context, held.id, URL)
    found = house.ledger.delivery(held.id)
    assert (found.state, found.url, found.reason) == ("published", URL, None)
    assert found.fence > held.fence, "whoever still looks stores nothing any more"
    assert house.status(post.id) == "posted"
    assert [a.outcome for a in house.ledger.attempts(held.id)] == ["decided"]
    assert URL in house.ledger.last_why(held.id)


def test_a_person_saw_that_it_is_not_there(house: House) -> None:
    post = standing(house, State.BLOCKED, armed=True, reason=Reason.IS_IT_LIVE)
    [delivery] = post.deliveries
    house.ledger.change(
        delivery, "looks = 9, crashes = 2, absent_at = now(), armed_deadline = now() - :long", long=LONG
    )
    decide.publish_again(house.context, delivery)
    found = house.ledger.delivery(delivery)
    assert (
        found.state,
        found.armed_at,
        found.armed_deadline,
        found.absent_at,
        found.looks,
        found.crashes,
    ) == (
        "retrying",
        None,
        None,
        None,
        0,
        0,
    )
    assert house.ledger.held(delivery).checkpoint == {}
    assert [a.outcome for a in house.ledger.attempts(delivery)] == ["decided"]
    again = house.ledger.armed(post)
    assert [a.outcome for a in house.ledger.attempts(again.id)] == ["decided", None]


@pytest.mark.parametrize("state", [State.UNKNOWN, State.BLOCKED])
def test_what_may_still_appear_is_not_published_again(house: House, state: State) -> None:
    post = standing(house, state, armed=True)
    [delivery] = post.deliveries
    can = house.context.adapters[Platform.TIKTOK].capabilities
    window = timedelta(seconds=house.context.settings.publish.call) + settle_window(
        house.context.settings, can
    )
    for ago, allowed in ((timedelta(0), False), (window - timedelta(seconds=30), False), (window, True)):
        house.ledger.change(delivery, "armed_deadline = now() - :ago", ago=ago)
        if allowed:
            decide.publish_again(house.context, delivery)
        else:
            with pytest.raises(CannotDecide, match=r"may still appear until .* UTC"):
                decide.publish_again(house.context, delivery)
            assert house.ledger.state(delivery) is state
    assert house.ledger.state(delivery) is State.RETRYING


@pytest.mark.parametrize(("armed", "state"), [(True, State.UNKNOWN), (False, State.RETRYING)])
def test_a_person_lets_it_go_on(house: House, state: State, *, armed: bool) -> None:
    post = standing(house, State.BLOCKED, armed=armed)
    decide.resume(house.context, post.deliveries[0])
    assert house.ledger.states(post) == [state]


@pytest.mark.parametrize("state", sorted(set(State) - {State.UNKNOWN, State.BLOCKED}))
def test_nothing_else_waits_for_a_person(house: House, state: State) -> None:
    post = standing(house, state)
    [delivery] = post.deliveries
    with pytest.raises(CannotDecide, match=state):
        decide.it_is_live(house.context, delivery, URL)
    with pytest.raises(CannotDecide, match=state):
        decide.publish_again(house.context, delivery)
    with pytest.raises(CannotDecide):
        decide.resume(house.context, delivery)
    assert house.ledger.state(delivery) is state


def test_only_a_blocked_one_is_let_go_on(house: House) -> None:
    with pytest.raises(CannotDecide, match="not blocked"):
        decide.resume(house.context, standing(house, State.UNKNOWN).deliveries[0])


def test_one_that_is_not_there(house: House) -> None:
    with pytest.raises(CannotDecide, match="There is no delivery"):
        decide.publish_again(house.context, new_id())
