"""Steering jobs of dead letters: each is replayed or discarded once, in the name of who confirmed, or left with why."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from unittest.mock import Mock
from uuid import UUID

import pytest

from pipeline.actions import dead_letters
from pipeline.actions.cancel_delete_retry import LIVE, retry
from pipeline.actions.dead_letters import MAY_BE_LIVE
from pipeline.actions.edit import edit
from pipeline.actions.post_changes import Change
from pipeline.actions.steer_letters import steer_letters
from pipeline.actions.steer_step import run_steering_step
from pipeline.actions.steering import Steering
from pipeline.domain.delivery import Reason, State
from pipeline.domain.steering import Arguments, SteeringState, Verb
from pipeline.store.database import rows
from pipeline.store.deliveries.dead_letters import list_discards
from pipeline.store.deliveries.selection import ListFilter
from pipeline.store.steering.jobs import SteeringJob, list_jobs
from pipeline.store.steering.receipts import list_receipts
from tests.actors import TESTER
from tests.crash_table import Crashes, get_points
from tests.pipeline.actions.test_dead_letters import checked, dead, discard, ids, listed
from tests.pipeline.actions.test_steering import ask, do, of, read, work
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.store.ledger import Post


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


def list_whys(home: CoreFixture, delivery: UUID) -> list[str]:
    with home.context.database.begin() as c:
        return [one.why for one in rows(c, "SELECT why FROM moves WHERE delivery_id = :id", id=delivery)]


def count_audited(home: CoreFixture, verb: Verb, subject: UUID) -> int:
    """Count the audit rows of a person's verb on this post or job."""
    sql = "SELECT id FROM audit WHERE verb = :verb AND subject = :id AND actor_name = :who AND address = :address"
    with home.context.database.begin() as c:
        return len(rows(c, sql, verb=verb, id=str(subject), who=TESTER.name, address=TESTER.address))


def make_live(home: CoreFixture, post: Post) -> None:
    """Store late proof that a failed delivery is live."""
    home.ledger.put(post, State.SCHEDULED)
    home.ledger.armed(post)
    with home.context.database.begin() as c:
        rows(
            c,
            """UPDATE attempts SET closed_at = now(), outcome = 'failed', late = '[{"remote_id": "1"}]'
               WHERE delivery_id = :id RETURNING id""",
            id=post.deliveries[0],
        )
    home.ledger.change(
        post.deliveries[0],
        """state = 'failed', armed_at = NULL, armed_deadline = NULL,
           error = '{"class": "Rejected", "code": "no", "message": "No."}'""",
    )


def test_letters_are_replayed_one_after_the_other_and_what_may_be_live_is_left(home: CoreFixture) -> None:
    letters = [dead(home) for _ in range(3)]
    blocked, armed, live = dead(home), dead(home), dead(home)
    home.ledger.put(blocked, State.BLOCKED, reason=Reason.PERSON_NEEDED)
    home.ledger.change(armed.deliveries[0], "armed_at = now()")
    make_live(home, live)
    promised = dead_letters.count_letters(home.context, Verb.REPLAY, ListFilter(workspace=home.workspace))
    job = do(home, Verb.REPLAY, of(home))
    assert (job.state, job.counted, job.done, job.skipped) == (SteeringState.DONE, 6, 4, 2)
    assert (promised.letters, promised.skipped) == (4, {MAY_BE_LIVE: 1, LIVE: 1})
    reasons = read_reasons(home, job)
    assert reasons == dict.fromkeys(ids(*letters, blocked)) | {
        armed.deliveries[0]: MAY_BE_LIVE,
        live.deliveries[0]: LIVE,
    }
    turns = sorted(home.ledger.delivery(d).next_at for d in ids(*letters, blocked))
    assert all(later - sooner >= timedelta(milliseconds=999) for sooner, later in pairwise(turns)), turns
    assert home.ledger.states(blocked) == [State.RETRYING]
    assert {*home.ledger.states(armed), *home.ledger.states(live)} == {State.FAILED}


def test_who_confirmed_is_named_by_the_history_and_the_audit(home: CoreFixture) -> None:
    again, over = dead(home), dead(home)
    chosen = ListFilter(deliveries=(again.deliveries[0],))
    replayed = do(home, Verb.REPLAY, chosen)
    discarded = do(home, Verb.DISCARD, of(home), why="the campaign is over")
    assert f"replayed by {TESTER.name}" in list_whys(home, again.deliveries[0])
    with home.context.database.begin() as c:
        [discard] = list_discards(c, over.deliveries[0])
    assert (discard.who, discard.why) == (TESTER.name, "the campaign is over")
    for verb, post, job in ((Verb.REPLAY, again, replayed), (Verb.DISCARD, over, discarded)):
        assert count_audited(home, verb, job.id) == 1
        assert count_audited(home, verb, post.id) == 1


def test_letters_are_discarded_with_the_reason_of_the_job(home: CoreFixture) -> None:
    failed, blocked, armed = dead(home), dead(home), dead(home)
    home.ledger.put(blocked, State.BLOCKED, reason=Reason.PERSON_NEEDED)
    home.ledger.change(armed.deliveries[0], "armed_at = now()")
    job = do(home, Verb.DISCARD, of(home), why="over")
    assert read_reasons(home, job) == {
        **dict.fromkeys(ids(failed, blocked)),
        armed.deliveries[0]: MAY_BE_LIVE,
    }
    assert home.ledger.states(failed) == [State.FAILED]
    assert home.ledger.states(blocked) == [State.CANCELLED]
    assert listed(home) == armed.deliveries
    assert ask(home, Verb.DISCARD, of(home)).count.deliveries == 1


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
