"""Dead letters: which deliveries they are; each is replayed or discarded once, or left with why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any
from unittest.mock import Mock
from uuid import UUID

import pytest

from adapters.contract import Platform
from pipeline.actions.cancel_delete_retry import retry
from pipeline.actions.edit import edit
from pipeline.actions.post_changes import Change
from pipeline.actions.steer_letters import DeadLetterResult, steer_letters
from pipeline.actions.steer_step import run_steering_step
from pipeline.actions.steering import Steering
from pipeline.domain.delivery import Reason, State
from pipeline.domain.steering import Arguments, SteeringState, Verb
from pipeline.runtime.context import Context
from pipeline.stages import delay
from pipeline.store.database import jsonb, new_id, row, rows
from pipeline.store.deliveries.dead_letters import (
    count_causes,
    count_crashes,
    list_dead_letters,
    list_discards,
)
from pipeline.store.deliveries.ownership import OPERATOR, Scope
from pipeline.store.deliveries.selection import ListFilter
from pipeline.store.steering.jobs import SteeringJob, list_jobs
from pipeline.store.steering.receipts import list_receipts
from tests.actors import TESTER
from tests.crash_table import Crashes, get_points
from tests.pipeline.actions.test_steering import ask, of, read, work
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


@pytest.mark.parametrize("reason", [Reason.RECONNECT, Reason.IS_IT_LIVE])
def test_what_waits_for_its_account_or_for_a_look_is_not_dead(ready: CoreFixture, reason: Reason) -> None:
    post = ready.ledger.post([ready.accounts["one"]])
    ready.ledger.put(post, State.BLOCKED, reason=reason, armed=reason is Reason.IS_IT_LIVE)
    assert ids(post)[0] not in listed(ready)


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
def test_nothing_but_a_dead_letter_is_listed_replayed_or_discarded(ready: CoreFixture, state: State) -> None:
    post = dead(ready, state)
    assert listed(ready) == []
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
    assert listed(ready) == ids(post)
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


# --- jobs of dead letters --------------------------------------------------------------------------------------------


@pytest.fixture
def home(core: CoreFixture) -> CoreFixture:
    """A workspace whose caller is a person."""
    core.account("one")
    core.decided()
    core.caller = replace(core.caller, actor=TESTER)
    return core


def read_reasons(home: CoreFixture, job: SteeringJob) -> dict[UUID, str | None]:
    with home.context.database.begin() as c:
        return {one.delivery_id: one.why for one in list_receipts(c, job.id, limit=1000)}


def count_audited(home: CoreFixture, verb: Verb, subject: UUID) -> int:
    """Count the audit rows of a person's verb on this post or job."""
    sql = "SELECT id FROM audit WHERE verb = :verb AND subject = :id AND actor_name = :who AND address = :address"
    with home.context.database.begin() as c:
        return len(rows(c, sql, verb=verb, id=str(subject), who=TESTER.name, address=TESTER.address))


def test_each_letter_of_a_post_has_a_turn_of_its_own(home: CoreFixture) -> None:
    accounts = [home.accounts["one"], home.account("three"), home.account("four")]
    post = home.ledger.post(accounts, checks={0: checked(home)})
    home.ledger.put(post, State.FAILED)
    chosen = ListFilter(deliveries=tuple(post.deliveries[:2]))
    job = ask(home, Verb.REPLAY, chosen, confirm=True).job
    assert job is not None
    for done in (0, 1):
        assert read(home, job.id).done == done
        run_steering_step(home.context, job.id)
    assert (work(home, job.id).done, home.ledger.state(post.deliveries[2])) == (2, State.FAILED)
    assert State.FAILED not in home.ledger.states(post)[:2]


def test_a_letter_that_changed_since_it_was_counted_is_left(home: CoreFixture) -> None:
    edited, retried, deleted, kept = (dead(home) for _ in range(4))
    job = ask(home, Verb.REPLAY, of(home), confirm=True).job
    assert job is not None
    edit(home.context, home.caller, edited.id, Change(given=frozenset({"caption"}), caption="another"))
    assert retry(home.context, home.caller, [retried.id]).errors == {}
    home.ledger.put(retried, State.FAILED)
    home.ledger.update("posts", deleted.id, "deleted_at = now()")
    before = [home.ledger.delivery(d).generation for d in ids(edited, retried)]
    done = work(home, job.id)
    assert (done.done, done.skipped) == (1, 3)
    reasons = read_reasons(home, done)
    assert reasons.pop(kept.deliveries[0]) is None
    assert all("no such dead letter" in (why or "") for why in reasons.values()), reasons
    assert [home.ledger.delivery(d).generation for d in ids(edited, retried)] == before


def test_all_letters_of_a_scope_are_one_job_which_leaves_what_an_earlier_one_has(home: CoreFixture) -> None:
    taken = dead(home)
    earlier = ask(home, Verb.REPLAY, of(home), confirm=True).job
    assert earlier is not None
    rest = [dead(home) for _ in range(2)]
    asked = ListFilter(workspace=home.workspace)
    left = steer_letters(
        home.context, Steering(verb=Verb.DISCARD, filter=asked, arguments=Arguments()), TESTER
    )
    assert (left.done, [*left.skipped]) == ([], ids(taken, *rest))
    assert all("after an earlier one" in why for why in left.skipped.values())
    work(home, earlier.id)
    with home.context.database.begin() as c:
        [waiting, _] = list_jobs(c, [home.workspace], limit=9)
    assert (work(home, waiting.id).done, listed(home)) == (2, [])


def test_a_command_that_is_interrupted_stops_its_job(
    home: CoreFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    letters = ids(dead(home), dead(home))
    monkeypatch.setattr("pipeline.actions.steer_step.dispatch_first", Mock(side_effect=KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        discard(home, letters)
    with home.context.database.begin() as c:
        [job] = list_jobs(c, [home.workspace], limit=9)
    assert (job.state, job.done, listed(home)) == (SteeringState.STOPPED, 1, letters[1:])


def test_two_jobs_of_the_same_letters_replay_each_once(home: CoreFixture) -> None:
    letters = [dead(home) for _ in range(3)]
    first, second = (ask(home, Verb.REPLAY, of(home), confirm=True).job for _ in range(2))
    assert first is not None
    assert second is not None
    for job in (first, second, first, second):
        run_steering_step(home.context, job.id)
    assert (work(home, first.id).done, work(home, second.id).skipped) == (3, 3)
    assert [home.ledger.delivery(d).generation for d in ids(*letters)] == [1] * 3


@pytest.mark.parametrize("verb", [Verb.REPLAY, Verb.DISCARD])
@pytest.mark.parametrize("point", get_points("test_a_worker_that_dies_at_a_letter_deals_with_each_once"))
def test_a_worker_that_dies_at_a_letter_deals_with_each_once(
    home: CoreFixture, module_environment: dict[str, str], crashes: Crashes, point: str, verb: Verb
) -> None:
    letters = [dead(home) for _ in range(3)]
    job = ask(home, verb, of(home), confirm=True, why="over" if verb is Verb.DISCARD else None).job
    assert job is not None
    crashes.crash(module_environment, point, "step_steering", str(job.id))
    home.ledger.update("steering_jobs", job.id, "lease_until = NULL")
    done = work(home, job.id)
    assert (done.done, done.skipped) == (3, 0), "no receipt says that one was skipped which was done"
    assert set(read_reasons(home, done).values()) == {None}
    assert [count_audited(home, verb, post.id) for post in letters] == [1] * 3
    if verb is Verb.REPLAY:
        assert [home.ledger.delivery(d).generation for d in ids(*letters)] == [1] * 3
