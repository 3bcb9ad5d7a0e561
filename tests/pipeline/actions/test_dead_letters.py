"""Dead letters: which deliveries they are, replayed one after the other and never twice, or discarded."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest

from adapters.contract import Platform
from pipeline.actions.steer_letters import DeadLetterResult, steer_letters
from pipeline.actions.steering import Steering
from pipeline.domain.delivery import Reason, State
from pipeline.domain.steering import Arguments, Verb
from pipeline.runtime.context import Context
from pipeline.stages import delay
from pipeline.store.database import jsonb, new_id, row
from pipeline.store.deliveries.dead_letters import (
    count_causes,
    count_crashes,
    list_dead_letters,
    list_discards,
)
from pipeline.store.deliveries.ownership import OPERATOR, Scope
from pipeline.store.deliveries.selection import ListFilter
from tests.actors import TESTER
from tests.pipeline.core_fixture import VIDEO, CoreFixture, make_core
from tests.pipeline.store.ledger import Post, together

GONE = {"code": "unavailable", "class": "Unavailable", "fault": "platform", "message": "It is down."}
POISON = {
    "code": "poison",
    "class": "AdapterError",
    "fault": "us",
    "message": "It crashed its worker 3 times.",
}


def dead(
    core: CoreFixture, state: State = State.FAILED, error: dict[str, Any] | None = None, account: str = "one"
) -> Post:
    """A delivery that failed with this error, and media with fresh checks."""
    platform = Platform.PINTEREST if account == "two" else Platform.TIKTOK
    post = core.ledger.post([core.accounts[account]], checks={0: checked(core)}, platform=platform)
    core.ledger.put(post, state)
    core.ledger.change(post.deliveries[0], "error = CAST(:error AS jsonb)", error=jsonb(error or GONE))
    return post


def checked(core: CoreFixture) -> UUID:
    return core.check_ids(VIDEO)[0]


def scope_of(core: CoreFixture) -> Scope:
    return Scope(workspace=core.workspace)


def listed(core: CoreFixture, scope: Scope | None = None, **which: Any) -> list[UUID]:
    with core.context.database.begin() as c:
        wanted = ListFilter(scope=scope or scope_of(core), **which)
        return [one.id for one in list_dead_letters(c, wanted, limit=1000)]


def ids(*posts: Post) -> list[UUID]:
    return [d for post in posts for d in post.deliveries]


def act(
    context: Context, verb: Verb, scope: Scope, letters: Sequence[UUID], **arguments: Any
) -> DeadLetterResult:
    """Do the steering jobs of these dead letters, as an operator."""
    chosen = ListFilter(scope=scope, deliveries=tuple(letters))
    asked = Steering(verb=verb, filter=chosen, arguments=Arguments(**arguments))
    return steer_letters(context, asked, TESTER)


def replay(core: CoreFixture, letters: Sequence[UUID], per_minute: float = 60) -> DeadLetterResult:
    return act(core.context, Verb.REPLAY, scope_of(core), letters, per_minute=per_minute)


def discard(core: CoreFixture, letters: Sequence[UUID]) -> DeadLetterResult:
    return act(core.context, Verb.DISCARD, scope_of(core), letters, why="not worth it")


# --- what is one -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", list(State))
def test_failed_and_person_needed_are_dead_and_nothing_else_is(ready: CoreFixture, state: State) -> None:
    post = dead(ready, state)
    assert (ids(post)[0] in listed(ready)) is (state in {State.FAILED, State.BLOCKED})


@pytest.mark.parametrize("reason", [Reason.RECONNECT, Reason.IS_IT_LIVE])
def test_what_waits_for_its_account_or_for_a_look_is_not_dead(ready: CoreFixture, reason: Reason) -> None:
    post = ready.ledger.post([ready.accounts["one"]])
    ready.ledger.put(post, State.BLOCKED, reason=reason, armed=reason is Reason.IS_IT_LIVE)
    assert ids(post)[0] not in listed(ready)


def test_a_deleted_posts_letter_is_gone(ready: CoreFixture) -> None:
    post = dead(ready)
    ready.ledger.update("posts", post.id, "deleted_at = now()")
    assert listed(ready) == []


def test_they_are_counted_by_what_they_died_of(ready: CoreFixture) -> None:
    """The conditions of a filter: tests/pipeline/store/deliveries/test_queue.py."""
    ready.account("two", Platform.PINTEREST)
    poison = dead(ready, State.BLOCKED, POISON)
    dead(ready), dead(ready, account="two")
    assert listed(ready, code="poison") == ids(poison)
    with ready.context.database.begin() as c:
        found = count_causes(c, ListFilter(scope=scope_of(ready)))
    assert sorted((x.platform, x.error_class, x.letters) for x in found) == [
        ("pinterest", "Unavailable", 1),
        ("tiktok", "AdapterError", 1),
        ("tiktok", "Unavailable", 1),
    ]


def test_nobody_sees_or_touches_anothers(ready: CoreFixture) -> None:
    other = make_core(ready.context, ready.ledger)
    other.account("one")
    other.decided()
    theirs = dead(other)
    narrow = Scope(workspace=other.workspace, accounts=[new_id()])
    for scope in (scope_of(ready), narrow):
        assert ids(theirs)[0] not in listed(other, scope)
        for done in (
            act(ready.context, Verb.REPLAY, scope, ids(theirs)),
            act(ready.context, Verb.DISCARD, scope, ids(theirs), why="x"),
        ):
            assert (done.done, list(done.skipped)) == ([], ids(theirs))
    assert other.ledger.states(theirs) == [State.FAILED]
    assert ids(theirs)[0] in listed(other, OPERATOR)
    bound = Scope(workspace=other.workspace, accounts=[other.accounts["one"]])
    assert listed(other, bound) == ids(theirs)


# --- again -----------------------------------------------------------------------------------------------------------


def test_a_failed_one_is_sent_again_and_is_dead_no_more(ready: CoreFixture) -> None:
    post = dead(ready)
    assert replay(ready, ids(post)).done == ids(post)
    found = ready.ledger.delivery(ids(post)[0])
    assert (found.state, found.spent, found.generation, found.error) == ("scheduled", 0, 1, None)
    assert found.due_at < found.now, "its due time is the customer's"
    assert listed(ready) == []
    moves = ready.ledger.moves(ids(post)[0])
    assert moves[-2:] == [("retry", "failed", "accepted"), ("reachability", "accepted", "scheduled")]
    again = replay(ready, ids(post))
    assert (again.done, list(again.skipped)) == ([], ids(post))


def test_a_blocked_one_goes_on_with_what_it_prepared_and_keeps_its_evidence(ready: CoreFixture) -> None:
    post = ready.ledger.post([ready.accounts["one"]])
    held = ready.ledger.claimed(post)
    dead_now = "state = 'blocked', reason = 'person_needed', lease_until = NULL, crashes = 3"
    ready.ledger.change(held.id, dead_now)
    with ready.context.database.begin() as c:
        for target in ("queued", "queued", "blocked"):
            row(
                c,
                """INSERT INTO moves (delivery_id, mover, origin, target, generation, fence)
                   VALUES (:id, 'rescue', 'publishing', :target, 0, 1) RETURNING id""",
                id=held.id,
                target=target,
            )
    assert replay(ready, [held.id]).done == [held.id]
    assert ready.ledger.delivery(held.id).crashes == 0
    with ready.context.database.begin() as c:
        assert count_crashes(c, held.id) == 3
    assert ready.ledger.states(post) == [State.RETRYING]
    assert ready.ledger.moves(held.id)[-1] == ("resume", "blocked", "retrying")


def test_they_go_out_one_after_the_other_over_all_replays_there_are(ready: CoreFixture) -> None:
    mixed = [dead(ready), dead(ready, State.BLOCKED, POISON), dead(ready), dead(ready)]
    with ready.context.database.begin() as c:
        row(c, "WITH gone AS (DELETE FROM paces) SELECT 1 AS one")
    replay(ready, ids(*mixed[:2]), 1)
    replay(ready, ids(*mixed[2:]), 1)
    times = [ready.ledger.delivery(d).next_at for d in ids(*mixed)]
    gaps = [(b - a).total_seconds() for a, b in pairwise(times)]
    assert gaps == [60, 60, 60]
    delay.release_due(ready.context)
    assert [ready.ledger.state(d) for d in ids(*mixed)] == [
        State.QUEUED,
        State.RETRYING,
        State.SCHEDULED,
        State.SCHEDULED,
    ]


@pytest.mark.parametrize("state", sorted(set(State) - {State.FAILED, State.BLOCKED}))
def test_nothing_but_a_dead_letter_is_replayed_or_discarded(ready: CoreFixture, state: State) -> None:
    post = dead(ready, state)
    before = ready.ledger.delivery(ids(post)[0])
    assert replay(ready, ids(post)).done == []
    assert discard(ready, ids(post)).done == []
    after = ready.ledger.delivery(ids(post)[0])
    assert (after.state, after.generation, after.next_at) == (before.state, before.generation, before.next_at)


def test_of_many_replays_at_once_one_sends_it_again(ready: CoreFixture) -> None:
    posts = [dead(ready) for _ in range(4)]
    done = together(*[lambda: replay(ready, ids(*posts)).done] * 4)
    assert sorted(d for some in done for d in some) == sorted(ids(*posts))
    assert {ready.ledger.delivery(d).generation for d in ids(*posts)} == {1}


# --- given up --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "after", "status"),
    [(State.FAILED, State.FAILED, "failed"), (State.BLOCKED, State.CANCELLED, "canceled")],
)
def test_a_discarded_one_is_gone_from_the_list_with_who_and_why(
    ready: CoreFixture, state: State, after: State, status: str
) -> None:
    post = dead(ready, state)
    assert discard(ready, ids(post)).done == ids(post)
    assert listed(ready) == []
    assert (ready.ledger.states(post), ready.status(post.id)) == ([after], status)
    with ready.context.database.begin() as c:
        [one] = list_discards(c, ids(post)[0])
    assert (one.why, one.who) == ("not worth it", "a test")
    assert discard(ready, ids(post)).done == []
    assert replay(ready, ids(post)).done == []


def test_a_discarded_one_that_its_author_retries_may_die_again(ready: CoreFixture) -> None:
    from pipeline.actions.cancel_delete_retry import retry

    post = dead(ready)
    discard(ready, ids(post))
    assert retry(ready.context, ready.caller, [post.id]).ids == [post.id]
    ready.ledger.change(ids(post)[0], "state = 'failed'")
    assert listed(ready) == ids(post)
