"""Resolve a delivery by a person's decision: it is live, publish it again, or resume it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from adapters.contract import Platform
from pipeline.actions import resolve as decide
from pipeline.actions.resolve import CannotResolve
from pipeline.domain.delivery import LOOKED_AT, Reason, State
from pipeline.stages.platform_limits import settle_window
from pipeline.store.audit import AuditFilter, list_changes
from pipeline.store.database import new_id
from pipeline.store.deliveries.lease import dispatch_looks
from tests.actors import TESTER
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.store.ledger import Post

LONG = timedelta(hours=1)
URL = "https://t.example/seen"


def standing(core: CoreFixture, state: State, *, armed: bool = False, reason: Reason | None = None) -> Post:
    post = core.ledger.post([core.accounts.get("one") or core.account("one")])
    core.ledger.put(post, state, armed=armed, reason=reason)
    return post


@pytest.mark.parametrize(
    ("state", "armed"), [(State.UNKNOWN, True), (State.BLOCKED, True), (State.BLOCKED, False)]
)
def test_a_person_saw_it_live(core: CoreFixture, state: State, *, armed: bool) -> None:
    post = standing(core, state, armed=armed)
    held = core.ledger.read_claimed(post.deliveries[0])
    decide.confirm_live(core.context, TESTER, held.id, URL)
    found = core.ledger.delivery(held.id)
    assert (found.state, found.url, found.reason) == ("published", URL, None)
    assert found.fence > held.fence, "a worker that still looks can store nothing"
    assert core.status(post.id) == "posted"
    assert [a.outcome for a in core.ledger.attempts(held.id)] == ["decided"]
    assert URL in core.ledger.last_why(held.id)


def test_a_person_saw_that_it_is_not_there(core: CoreFixture) -> None:
    post = standing(core, State.BLOCKED, armed=True, reason=Reason.IS_IT_LIVE)
    [delivery] = post.deliveries
    core.ledger.change(
        delivery, "looks = 9, crashes = 2, absent_at = now(), armed_deadline = now() - :long", long=LONG
    )
    decide.publish_again(core.context, TESTER, delivery)
    found = core.ledger.delivery(delivery)
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
    assert core.ledger.read_claimed(delivery).checkpoint == {}
    assert [a.outcome for a in core.ledger.attempts(delivery)] == ["decided"]
    again = core.ledger.armed(post)
    assert [a.outcome for a in core.ledger.attempts(again.id)] == ["decided", None]


@pytest.mark.parametrize("state", [State.UNKNOWN, State.BLOCKED])
def test_what_may_still_appear_is_not_published_again(core: CoreFixture, state: State) -> None:
    post = standing(core, state, armed=True)
    [delivery] = post.deliveries
    can = core.context.adapters[Platform.TIKTOK].capabilities
    window = timedelta(seconds=core.context.settings.publish.call) + settle_window(core.context.settings, can)
    for ago, allowed in ((timedelta(0), False), (window - timedelta(seconds=30), False), (window, True)):
        core.ledger.change(delivery, "armed_deadline = now() - :ago", ago=ago)
        if allowed:
            decide.publish_again(core.context, TESTER, delivery)
        else:
            with pytest.raises(CannotResolve, match=r"may still appear until .* UTC"):
                decide.publish_again(core.context, TESTER, delivery)
            assert core.ledger.state(delivery) is state
    assert core.ledger.state(delivery) is State.RETRYING


@pytest.mark.parametrize("handle", [{"media": ["m"]}, {}], ids=["a handle", "none"])
def test_the_platform_may_recognise_the_repetition(
    core: CoreFixture, monkeypatch: pytest.MonkeyPatch, handle: dict[str, list[str]]
) -> None:
    adapter = core.context.adapters[Platform.TIKTOK]
    monkeypatch.setattr(adapter, "capabilities", replace(adapter.capabilities, keeps=("media",)))
    post = standing(core, State.BLOCKED, armed=True, reason=Reason.IS_IT_LIVE)
    [delivery] = post.deliveries
    sealed = core.context.vault.seal({**handle, "polls": 3}, delivery) if handle else None
    core.ledger.change(
        delivery, "armed_deadline = now() - :long, checkpoint = :sealed", long=LONG, sealed=sealed
    )
    decide.publish_again(core.context, TESTER, delivery)
    assert core.ledger.read_claimed(delivery).checkpoint == {**handle, "armed_before": True}


@pytest.mark.parametrize(("armed", "state"), [(True, State.UNKNOWN), (False, State.RETRYING)])
def test_a_person_lets_it_go_on(core: CoreFixture, state: State, *, armed: bool) -> None:
    post = standing(core, State.BLOCKED, armed=armed)
    decide.resume(core.context, TESTER, post.deliveries[0])
    assert core.ledger.states(post) == [state]


@pytest.mark.parametrize("state", sorted(set(State) - {State.UNKNOWN, State.BLOCKED}))
def test_nothing_else_waits_for_a_person(core: CoreFixture, state: State) -> None:
    post = standing(core, state)
    [delivery] = post.deliveries
    with pytest.raises(CannotResolve, match=state):
        decide.confirm_live(core.context, TESTER, delivery, URL)
    with pytest.raises(CannotResolve, match=state):
        decide.publish_again(core.context, TESTER, delivery)
    with pytest.raises(CannotResolve):
        decide.resume(core.context, TESTER, delivery)
    assert core.ledger.state(delivery) is state


def test_only_a_blocked_one_is_let_go_on(core: CoreFixture) -> None:
    with pytest.raises(CannotResolve, match="not blocked"):
        decide.resume(core.context, TESTER, standing(core, State.UNKNOWN).deliveries[0])


@pytest.mark.parametrize("state", sorted(LOOKED_AT))
def test_the_next_look_comes_at_once_and_is_recorded(core: CoreFixture, state: State) -> None:
    post = standing(core, state)
    [delivery] = post.deliveries
    core.ledger.change(delivery, "next_at = now() + :long", long=LONG)
    before = core.ledger.read_claimed(delivery)
    decide.look_now(core.context, TESTER, delivery)
    found = core.ledger.read_claimed(delivery)
    assert core.ledger.state(delivery) is state
    assert (found.generation, found.fence) == (before.generation, before.fence), "nothing else is changed"
    with core.context.database.begin() as c:
        due = {message.delivery for message in dispatch_looks(c, 1000, LONG)}
        last = list_changes(c, AuditFilter(subject=str(post.id)), limit=1, newest_first=True)[0]
    assert delivery in due
    assert (last.verb, last.actor_name) == ("look", TESTER.name)
    with pytest.raises(CannotResolve, match="due, in progress"):
        decide.look_now(core.context, TESTER, delivery)


@pytest.mark.parametrize(
    "wait",
    [
        "absent_at = now()",
        """error = '{"class": "OutcomeUnknown", "last_look": {"class": "RateLimited", "code": "slow"}}'""",
        "next_at = now() - interval '1 second'",
    ],
)
def test_a_wait_that_counts_is_not_cut_short(core: CoreFixture, wait: str) -> None:
    [delivery] = standing(core, State.UNKNOWN).deliveries
    core.ledger.change(delivery, "next_at = now() + :long", long=LONG)
    core.ledger.change(delivery, wait)
    before = core.ledger.delivery(delivery).next_at
    with pytest.raises(CannotResolve, match="by itself"):
        decide.look_now(core.context, TESTER, delivery)
    assert core.ledger.delivery(delivery).next_at == before


@pytest.mark.parametrize("state", sorted(set(State) - LOOKED_AT))
def test_what_is_not_looked_at_has_no_look(core: CoreFixture, state: State) -> None:
    [delivery] = standing(core, state).deliveries
    core.ledger.change(delivery, "next_at = now() + :long", long=LONG)
    with pytest.raises(CannotResolve, match="can be looked at"):
        decide.look_now(core.context, TESTER, delivery)


def test_one_that_is_not_there(core: CoreFixture) -> None:
    with pytest.raises(CannotResolve, match="There is no delivery"):
        decide.publish_again(core.context, TESTER, new_id())
