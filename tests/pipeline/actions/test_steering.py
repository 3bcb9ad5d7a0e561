"""Steering jobs: what a filter selects is counted, then acted on once; what is armed or changed is left, with why."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest

from adapters.contract import Platform
from pipeline.actions import steering
from pipeline.actions.edit import edit
from pipeline.actions.post_changes import Change
from pipeline.actions.steer_step import run_steering_step
from pipeline.actions.steering import Counted, Steering, steer, stop
from pipeline.broker.queues import IMPORTS
from pipeline.domain.steering import WORKING, Arguments, Verb
from pipeline.maintenance.rescue_expired_leases import redispatch_steering
from pipeline.stages.post_request import Refusal
from pipeline.store.attention import read_matters
from pipeline.store.auth.keys import Terms, create_key, find_caller
from pipeline.store.database import new_id, rows
from pipeline.store.deliveries.arm import arm
from pipeline.store.deliveries.pauses import list_pauses
from pipeline.store.deliveries.release import release
from pipeline.store.deliveries.selection import ListFilter, list_deliveries
from pipeline.store.steering import receipts
from pipeline.store.steering.jobs import SteeringJob, find_job
from pipeline.store.steering.receipts import list_receipts
from tests.crash_table import Crashes, get_points
from tests.pipeline.core_fixture import CoreFixture

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
REJECTED = """error = '{"class": "Rejected", "code": "no", "message": "No."}'"""


@pytest.fixture
def core(alone: CoreFixture) -> CoreFixture:
    return alone


def accept(core: CoreFixture, *accounts: str, due: timedelta = DAY) -> UUID:
    """Store a post to these accounts."""
    ids = [core.accounts[name] for name in accounts or ("one",)]
    at = (datetime.now(UTC) + due).replace(microsecond=0)
    return core.accept(account_ids=ids, scheduled_at=at, caption=new_id().hex).id


def ask(core: CoreFixture, verb: Verb, chosen: ListFilter, **more: Any) -> Counted:
    said = {name: more.pop(name) for name in ("token", "confirm") if name in more}
    asked = Steering(verb=verb, filter=chosen, arguments=Arguments(**more))
    return steer(core.context, core.caller, asked, **said)


def read(core: CoreFixture, identity: UUID) -> SteeringJob:
    with core.context.database.begin() as c:
        found = find_job(c, core.caller, identity)
    assert found is not None
    return found


def work(core: CoreFixture, identity: UUID) -> SteeringJob:
    """Do steps until the job rests."""
    while (found := read(core, identity)).state in WORKING:
        run_steering_step(core.context, identity)
    return found


def do(core: CoreFixture, verb: Verb, chosen: ListFilter, **more: Any) -> SteeringJob:
    job = ask(core, verb, chosen, confirm=True, **more).job
    assert job is not None
    return work(core, job.id)


def words(core: CoreFixture, job: SteeringJob) -> dict[UUID, str | None]:
    """Return the first word of why each delivery was skipped."""
    with core.context.database.begin() as c:
        found = list_receipts(c, job.id, limit=1000)
    assert all(r.outcome == ("done" if r.why is None else "skipped") for r in found)
    return {r.delivery_id: r.why.partition(":")[0] if r.why else None for r in found}


def state(core: CoreFixture, post: UUID) -> list[str]:
    return [d.state for d in core.deliveries(post)]


def execute(core: CoreFixture, sql: str, **values: Any) -> None:
    with core.context.database.begin() as c:
        assert rows(c, f"{sql} RETURNING 1 AS one", **values)


def change(core: CoreFixture, post: UUID, assignments: str) -> None:
    for delivery in core.deliveries(post):
        core.ledger.change(delivery.id, assignments)


def due(core: CoreFixture, post: UUID) -> datetime:
    with core.context.database.begin() as c:
        moment: datetime = rows(c, "SELECT due_at FROM posts WHERE id = :id", id=post)[0].due_at
    return moment


def of(core: CoreFixture, name: str = "one") -> ListFilter:
    return ListFilter(account=core.accounts[name])


def test_a_count_changes_nothing_and_its_token_starts_one_job(core: CoreFixture) -> None:
    post = accept(core)
    found = ask(core, Verb.CANCEL, of(core))
    assert (found.count.deliveries, found.count.posts, found.count.states) == (1, 1, {"scheduled": 1})
    assert found.job is None
    before = core.messages(IMPORTS)
    started = ask(core, Verb.CANCEL, of(core), token=found.token)
    assert started.job is not None
    assert core.messages(IMPORTS) == before + 1
    assert state(core, post) == ["scheduled"], "a worker acts, not the request"
    done = work(core, started.job.id)
    assert (done.state, done.counted, done.selected, done.done, done.skipped) == ("done", 1, 1, 1, 0)
    assert (state(core, post), core.status(post)) == (["cancelled"], "canceled")
    again = ask(core, Verb.CANCEL, of(core), token=found.token)
    assert again.job is not None
    assert again.job.id == done.id


def test_a_token_of_another_filter_or_verb_does_nothing(core: CoreFixture) -> None:
    accept(core)
    token = ask(core, Verb.CANCEL, of(core)).token
    for verb, chosen in ((Verb.PAUSE, of(core)), (Verb.CANCEL, of(core, "two"))):
        with pytest.raises(Refusal, match="of another request") as refused:
            ask(core, verb, chosen, token=token)
        assert (refused.value.status, refused.value.code) == (409, "plan_changed")
    with core.context.database.begin() as c:
        assert rows(c, "SELECT id FROM steering_jobs") == []


def test_an_empty_filter_is_refused_and_no_job_without_one_can_be_stored(core: CoreFixture) -> None:
    with pytest.raises(Refusal, match="it would select every post") as refused:
        ask(core, Verb.CANCEL, ListFilter(workspace=core.workspace), confirm=True)
    assert (refused.value.status, refused.value.code) == (400, "validation_failed")
    accept(core)
    do(core, Verb.CANCEL, of(core))
    with pytest.raises(Exception, match="filter_is_not_empty"), core.context.database.begin() as c:
        c.exec_driver_sql("UPDATE steering_jobs SET filter = '{}'")


def test_a_verb_selects_what_it_can_act_on_of_a_filter(core: CoreFixture) -> None:
    """The conditions themselves: tests/pipeline/store/deliveries/test_queue.py."""
    soon, failed = accept(core), accept(core, "two")
    change(core, failed, f"state = 'failed', {REJECTED}")
    tiktok = ListFilter(platform="tiktok")
    assert [ask(core, verb, tiktok).count.posts for verb in (Verb.CANCEL, Verb.RETRY)] == [1, 1]
    assert ask(core, Verb.CANCEL, ListFilter(error_class="Rejected")).count.deliveries == 0
    assert set(words(core, do(core, Verb.CANCEL, tiktok))) == {core.deliveries(soon)[0].id}
    assert (state(core, soon), state(core, failed)) == (["cancelled"], ["failed"])


def test_what_is_armed_is_not_touched(core: CoreFixture) -> None:
    post = core.ledger.post([core.accounts["one"]])
    core.ledger.armed(post)
    for verb, more in (
        (Verb.CANCEL, {}),
        (Verb.PAUSE, {}),
        (Verb.RESCHEDULE, {"shift": DAY}),
    ):
        before = core.ledger.delivery(post.deliveries[0])._asdict()
        job = do(core, verb, of(core), **more)
        assert (job.done, job.skipped) == (0, 1)
        assert words(core, job) == {post.deliveries[0]: "post_in_flight"}
        after = core.ledger.delivery(post.deliveries[0])._asdict()
        assert {**after, "now": None} == {**before, "now": None}


def test_failed_deliveries_are_retried_and_others_of_the_post_are_not(core: CoreFixture) -> None:
    post = accept(core, "one", "two")
    change(core, post, f"state = 'failed', {REJECTED}")
    job = do(core, Verb.RETRY, ListFilter(error_class="Rejected", account=core.accounts["one"]))
    assert (job.done, job.skipped) == (1, 0)
    states = {d.account_id: d.state for d in core.deliveries(post)}
    assert states == {core.accounts["one"]: "scheduled", core.accounts["two"]: "failed"}


def test_posts_are_shifted(core: CoreFixture) -> None:
    post, early = accept(core), accept(core, due=timedelta(hours=1))
    before = due(core, post)
    job = do(core, Verb.RESCHEDULE, of(core), shift=-2 * timedelta(hours=1))
    assert due(core, post) == before - timedelta(hours=2)
    assert {d.due_at for d in core.deliveries(post)} == {due(core, post)}
    [moved], [past] = ([d.id for d in core.deliveries(p)] for p in (post, early))
    assert words(core, job) == {moved: None, past: "validation_failed"}, "two hours earlier is in the past"


def test_posts_are_spread_over_a_window_in_the_order_of_their_times(core: CoreFixture) -> None:
    last, first, middle = (accept(core, "one", "two", due=n * DAY) for n in (3, 1, 2))
    start = (datetime.now(UTC) + 10 * DAY).replace(microsecond=0)
    chosen = ListFilter(platform="tiktok")
    job = do(core, Verb.RESCHEDULE, chosen, start=start, end=start + timedelta(hours=3))
    assert (job.posts, job.selected, job.done) == (3, 6, 6)
    assert [due(core, p) - start for p in (first, middle, last)] == [timedelta(hours=n) for n in range(3)]


def test_a_post_moves_as_a_whole_or_not(core: CoreFixture) -> None:
    post, half_failed = accept(core, "one", "two"), accept(core, "one", "two")
    [part] = [d.id for d in core.deliveries(half_failed) if d.account_id == core.accounts["two"]]
    core.ledger.change(part, f"state = 'failed', {REJECTED}")
    before = due(core, post)
    job = do(core, Verb.RESCHEDULE, of(core), shift=DAY)
    assert set(words(core, job).values()) == {"partial"}
    assert due(core, post) == before
    whole = do(core, Verb.RESCHEDULE, ListFilter(platform="tiktok"), shift=DAY)
    assert sorted(map(str, words(core, whole).values())) == ["None", "None", "partial"]
    assert due(core, post) == before + DAY
    assert sorted(state(core, half_failed)) == ["failed", "scheduled"], (
        "a failed one is not sent again by this"
    )


def test_what_is_paused_is_neither_released_nor_armed_until_it_is_resumed(core: CoreFixture) -> None:
    held, free = (core.ledger.post([core.accounts[name]], due=-DAY) for name in ("one", "two"))
    job = do(core, Verb.PAUSE, of(core), why="wrong campaign")
    assert (job.done, ask(core, Verb.PAUSE, of(core)).count.deliveries) == (1, 0)
    with core.context.database.begin() as c:
        sent = release(c, Platform.TIKTOK, 10, timedelta(minutes=5))
        [shown] = list_deliveries(c, of(core), limit=10)
        [pause] = list_pauses(c)
        matters = {(m.kind, m.reason, m.count) for m in read_matters(c, queues=[], silent=DAY)}
    assert [m.delivery for m in sent] == free.deliveries
    assert shown.held_for == "paused"
    assert (pause.scope, pause.target, pause.why, pause.holds) == (
        "delivery",
        str(job.id),
        "wrong campaign",
        1,
    )
    assert {("paused", "delivery", 1), ("held", "paused", 1)} <= matters
    claimed = core.ledger.claimed(held)
    with core.context.database.begin() as c:
        assert arm(c, core.context.vault, claimed, {}, timedelta(minutes=1)) is None
    core.ledger.change(claimed.id, "state = 'scheduled', lease_until = NULL")
    resumed = do(core, Verb.RESUME, of(core))
    assert (resumed.done, resumed.skipped) == (1, 0)
    with core.context.database.begin() as c:
        assert [m.delivery for m in release(c, Platform.TIKTOK, 10, timedelta(minutes=5))] == held.deliveries
        assert list_pauses(c) == []


def test_a_paused_delivery_that_is_cancelled_is_not_paused_any_more(core: CoreFixture) -> None:
    accept(core)
    assert do(core, Verb.PAUSE, of(core)).done == 1
    assert do(core, Verb.CANCEL, of(core)).done == 1
    assert ask(core, Verb.RESUME, of(core)).count.deliveries == 0
    with core.context.database.begin() as c:
        assert not [m for m in read_matters(c, queues=[], silent=DAY) if m.kind == "paused"]


def test_a_delivery_that_a_worker_has_is_not_said_to_be_paused(core: CoreFixture) -> None:
    post = core.ledger.post([core.accounts["one"]])
    claimed = core.ledger.claimed(post)
    job = do(core, Verb.PAUSE, of(core))
    assert words(core, job) == {claimed.id: "post_in_flight"}


def test_a_job_of_a_revoked_key_fails_and_goes_no_further(core: CoreFixture) -> None:
    post = accept(core)
    job = ask(core, Verb.CANCEL, of(core), confirm=True).job
    assert job is not None
    core.run("UPDATE keys SET revoked_at = now()")
    failed = work(core, job.id)
    assert (failed.state, failed.error and failed.error["code"]) == ("failed", "invalid_token")
    assert state(core, post) == ["scheduled"]


def test_a_key_that_is_bound_to_accounts_steers_no_others(core: CoreFixture) -> None:
    mine, shared = accept(core), accept(core, "one", "two")
    with core.context.database.begin() as c:
        key = create_key(c, core.workspace, "bound", Terms(accounts=[core.accounts["one"]]))
        caller = find_caller(c, key)
    assert caller is not None
    core.caller = caller
    job = do(core, Verb.CANCEL, ListFilter(platform="tiktok"))
    assert (job.selected, job.done) == (1, 1)
    assert (state(core, mine), state(core, shared)) == (["cancelled"], ["scheduled"] * 2)


@pytest.mark.parametrize("point", get_points("test_a_job_whose_worker_dies_goes_on_and_acts_once"))
def test_a_job_whose_worker_dies_goes_on_and_acts_once(
    core: CoreFixture, module_environment: dict[str, str], crashes: Crashes, point: str
) -> None:
    posts = [accept(core, due=n * DAY) for n in (1, 2, 3)]
    before = [due(core, post) for post in posts]
    job = ask(core, Verb.RESCHEDULE, of(core), confirm=True, shift=DAY).job
    assert job is not None
    crashes.crash(module_environment, point, "step_steering", str(job.id))
    core.run("UPDATE steering_jobs SET lease_until = NULL, touched_at = now() - interval '1 minute'")
    queued = core.messages(IMPORTS)
    assert redispatch_steering(core.context) == 1
    assert core.messages(IMPORTS) == queued + 1
    done = work(core, job.id)
    assert (done.selected, done.done, done.skipped) == (3, 3, 0)
    assert [due(core, post) for post in posts] == [at + DAY for at in before], "each moved once"


def test_a_confirmed_job_is_done_though_the_process_died(
    core: CoreFixture, module_environment: dict[str, str], crashes: Crashes
) -> None:
    post = accept(core)
    with core.context.database.begin() as c:
        key = create_key(c, core.workspace, "dies")
    crashes.crash(module_environment, "steering.stored", "cancel_by_account", key, str(core.accounts["one"]))
    with core.context.database.begin() as c:
        [job] = rows(c, "SELECT id FROM steering_jobs")
        c.exec_driver_sql("UPDATE steering_jobs SET touched_at = now() - interval '1 minute'")
    assert redispatch_steering(core.context) == 1
    work(core, job.id)
    assert state(core, post) == ["cancelled"]


def test_ended_jobs_and_their_receipts_expire(core: CoreFixture) -> None:
    accept(core)
    job = do(core, Verb.CANCEL, of(core))
    redispatch_steering(core.context)
    assert read(core, job.id).done == 1
    core.run("UPDATE steering_jobs SET created_at = now() - interval '31 days'")
    redispatch_steering(core.context)
    with core.context.database.begin() as c:
        assert find_job(c, core.caller, job.id) is None
        assert rows(c, "SELECT job_id FROM steering_receipts") == []


# --- the order of jobs: cancel and pause come first, the others wait; a token acts on what was counted ---------------


def confirm(core: CoreFixture, verb: Verb, chosen: ListFilter, **more: Any) -> SteeringJob:
    job = ask(core, verb, chosen, confirm=True, **more).job
    assert job is not None
    return job


def step(core: CoreFixture, job: SteeringJob) -> SteeringJob:
    run_steering_step(core.context, job.id)
    return read(core, job.id)


def count_paused(core: CoreFixture) -> int:
    with core.context.database.begin() as c:
        return int(rows(c, "SELECT count(*) AS n FROM paused_deliveries")[0].n)


def delivery(core: CoreFixture, post: UUID) -> UUID:
    [found] = core.deliveries(post)
    return UUID(str(found.id))


def test_a_resume_right_after_a_pause_waits_for_it_and_resumes_all(core: CoreFixture) -> None:
    for _ in range(3):
        accept(core)
    pause, resume = confirm(core, Verb.PAUSE, of(core)), confirm(core, Verb.RESUME, of(core))
    assert (resume.selected, resume.waits_for) == (3, [pause.id])
    assert step(core, resume).done == 0, "it waits"
    queued = core.messages(IMPORTS)
    assert (step(core, pause).done, count_paused(core)) == (3, 3)
    assert core.messages(IMPORTS) == queued + 1, "the job that waited is dispatched at once"
    assert read(core, resume.id).waits_for == []
    done = step(core, resume)
    assert (done.state, done.done, done.skipped, count_paused(core)) == ("done", 3, 0, 0)


@pytest.mark.parametrize("resumed", [0, 1])
def test_a_pause_right_after_a_resume_keeps_all_paused(
    core: CoreFixture, monkeypatch: Any, resumed: int
) -> None:
    for _ in range(3):
        accept(core)
    do(core, Verb.PAUSE, of(core))
    monkeypatch.setattr("pipeline.actions.steer_step.POSTS", 1)
    resume = confirm(core, Verb.RESUME, of(core))
    for _ in range(resumed):
        step(core, resume)
    assert count_paused(core) == 3 - resumed
    pause = confirm(core, Verb.PAUSE, of(core))
    assert (pause.selected, pause.waits_for) == (3, [])
    left, done = work(core, resume.id), work(core, pause.id)
    assert (left.done, left.skipped, done.done, count_paused(core)) == (resumed, 3 - resumed, 3, 3)
    assert "taken" in words(core, left).values()


def test_a_cancel_that_is_confirmed_while_a_reschedule_runs_takes_the_rest(
    core: CoreFixture, monkeypatch: Any
) -> None:
    posts = [accept(core, due=n * DAY) for n in (1, 2, 3)]
    monkeypatch.setattr("pipeline.actions.steer_step.POSTS", 1)
    moves = confirm(core, Verb.RESCHEDULE, of(core), shift=HOUR)
    assert step(core, moves).done == 1
    cancel = confirm(core, Verb.CANCEL, of(core))
    assert (cancel.selected, cancel.waits_for, read(core, moves.id).skipped) == (3, [], 2)
    moved = work(core, moves.id)
    assert (moved.done, moved.skipped) == (1, 2)
    assert words(core, moved)[delivery(core, posts[2])] == "taken"
    assert work(core, cancel.id).done == 3
    assert [state(core, post) for post in posts] == [["cancelled"]] * 3


def test_a_cancel_confirmed_while_a_post_is_moved_sees_it_moved(core: CoreFixture, monkeypatch: Any) -> None:
    """Between the count and its commit no earlier job acts: else the cancel would skip what it moved as changed."""
    post = accept(core)
    moves = confirm(core, Verb.RESCHEDULE, of(core), shift=HOUR)
    workers: list[threading.Thread] = []

    def count_then_step(*args: Any, **more: Any) -> Any:
        found = receipts.count(*args, **more)
        workers.append(threading.Thread(target=run_steering_step, args=(core.context, moves.id)))
        workers[0].start()
        workers[0].join(1)  # it waits for the lock; without one it acts within this second
        return found

    monkeypatch.setattr(steering, "count", count_then_step)
    cancel = confirm(core, Verb.CANCEL, of(core))
    workers[0].join()
    assert work(core, cancel.id).done == 1
    assert state(core, post) == ["cancelled"]
    assert words(core, work(core, moves.id)) == {delivery(core, post): "taken"}


def test_a_retry_leaves_what_a_later_cancel_or_pause_selects(core: CoreFixture) -> None:
    posts = [accept(core), accept(core, "two")]
    for post in posts:
        change(core, post, f"state = 'failed', {REJECTED}")
    retry = confirm(core, Verb.RETRY, ListFilter(platform="tiktok"))
    cancel, pause = confirm(core, Verb.CANCEL, of(core)), confirm(core, Verb.PAUSE, of(core, "two"))
    for job in (cancel, pause):
        assert list(words(core, work(core, job.id)).values()) == ["failed"]
    assert set(words(core, work(core, retry.id)).values()) == {"taken"}
    assert [state(core, post) for post in posts] == [["failed"]] * 2
    assert do(core, Verb.RETRY, of(core)).done == 1, "a later retry is another decision"


def test_two_reschedules_of_the_same_posts_both_move_them_in_order(core: CoreFixture) -> None:
    post = accept(core)
    before = due(core, post)
    jobs = [confirm(core, Verb.RESCHEDULE, of(core), shift=shift) for shift in (DAY, HOUR, 2 * HOUR)]
    assert [job.waits_for for job in jobs] == [[], [jobs[0].id], [jobs[0].id, jobs[1].id]]
    for job in reversed(jobs):
        step(core, job)
    assert due(core, post) == before + DAY, "only the first could act"
    for earlier, later in pairwise(jobs):
        assert read(core, earlier.id).state == "done"
        assert work(core, later.id).done == 1
    assert due(core, post) == before + DAY + 3 * HOUR


def test_jobs_of_other_deliveries_run_at_the_same_time(core: CoreFixture, monkeypatch: Any) -> None:
    for name in ("one", "two"):
        for _ in range(2):
            accept(core, name)
    monkeypatch.setattr("pipeline.actions.steer_step.POSTS", 1)
    jobs = [confirm(core, Verb.RESCHEDULE, of(core, name), shift=DAY) for name in ("one", "two")]
    assert [job.waits_for for job in jobs] == [[], []]
    assert [step(core, job).done for job in jobs] == [1, 1]
    assert [work(core, job.id).done for job in jobs] == [2, 2]


def test_a_stopped_job_keeps_what_it_did_and_leaves_the_rest(core: CoreFixture, monkeypatch: Any) -> None:
    posts = [accept(core, due=n * DAY) for n in (1, 2, 3)]
    monkeypatch.setattr("pipeline.actions.steer_step.POSTS", 1)
    pause, resume = confirm(core, Verb.PAUSE, of(core)), confirm(core, Verb.RESUME, of(core))
    assert step(core, pause).done == 1
    queued = core.messages(IMPORTS)
    assert stop(core.context, core.caller, pause.id).state == "stopped"
    assert core.messages(IMPORTS) == queued + 1, "what waited for it goes on"
    assert stop(core.context, core.caller, pause.id).state == "stopped"
    stopped = step(core, pause)
    assert (stopped.done, stopped.skipped, count_paused(core)) == (1, 0, 1)
    with core.context.database.begin() as c:
        audited = rows(c, "SELECT verb FROM audit WHERE kind = 'steering job' AND verb = 'stop'")
    assert len(audited) == 1
    done = work(core, resume.id)
    assert (done.done, done.skipped, count_paused(core)) == (1, 2, 0)
    assert [state(core, post) for post in posts] == [["scheduled"]] * 3


def test_a_job_that_fails_lets_the_next_go_on(core: CoreFixture) -> None:
    accept(core)
    pause = confirm(core, Verb.PAUSE, of(core))
    resume = confirm(core, Verb.RESUME, of(core))
    execute(core, "UPDATE steering_jobs SET key_id = NULL WHERE id = :id", id=resume.id)
    core.run("UPDATE keys SET revoked_at = now()")
    queued = core.messages(IMPORTS)
    assert step(core, pause).state == "failed"
    assert core.messages(IMPORTS) == queued + 1
    assert step(core, resume).state == "done"


@pytest.mark.parametrize("point", get_points("test_the_order_holds_though_the_worker_dies"))
def test_the_order_holds_though_the_worker_dies(
    core: CoreFixture, module_environment: dict[str, str], crashes: Crashes, point: str
) -> None:
    for n in (1, 2, 3):
        accept(core, due=n * DAY)
    pause, resume = confirm(core, Verb.PAUSE, of(core)), confirm(core, Verb.RESUME, of(core))
    crashes.crash(module_environment, point, "step_steering", str(pause.id))
    assert step(core, resume).done == 0, "the pause has not ended"
    core.run("UPDATE steering_jobs SET lease_until = NULL, touched_at = now() - interval '1 minute'")
    assert redispatch_steering(core.context) == 1, "only the pause has a step"
    assert (work(core, pause.id).done, count_paused(core)) == (3, 3)
    assert (work(core, resume.id).done, count_paused(core)) == (3, 0)


def test_what_waited_goes_on_though_the_worker_died_before_it_dispatched_it(
    core: CoreFixture, module_environment: dict[str, str], crashes: Crashes
) -> None:
    accept(core)
    pause, resume = confirm(core, Verb.PAUSE, of(core)), confirm(core, Verb.RESUME, of(core))
    crashes.crash(module_environment, "steering.ended", "step_steering", str(pause.id))
    assert read(core, pause.id).state == "done"
    core.run("UPDATE steering_jobs SET touched_at = now() - interval '1 minute'")
    assert redispatch_steering(core.context) == 1
    assert work(core, resume.id).done == 1


def test_a_token_acts_on_the_counted_deliveries_less_what_changed(core: CoreFixture) -> None:
    edited, gone, moved, published, kept = (accept(core) for _ in range(5))
    other = accept(core, "two")
    token = ask(core, Verb.CANCEL, of(core)).token
    edit(core.context, core.caller, edited, Change(given=frozenset({"caption"}), caption="another"))
    execute(core, "UPDATE posts SET deleted_at = now() WHERE id = :id", id=gone)
    change(core, published, "state = 'published', published_at = now(), remote_id = id::text")
    one, two = core.accounts["one"], core.accounts["two"]
    late = accept(core)
    for post, account in (
        (moved, two),
        (other, one),
    ):  # one leaves the filter, one comes into it: the same number
        execute(core, "UPDATE deliveries SET account_id = :a WHERE post_id = :p", a=account, p=post)
    job = ask(core, Verb.CANCEL, of(core), token=token).job
    assert job is not None
    done = work(core, job.id)
    found = words(core, done)
    expected = dict.fromkeys([edited, moved, published], "changed") | {gone: "not_found", kept: None}
    assert found == {delivery(core, post): why for post, why in expected.items()}
    assert (done.counted, done.selected, done.done, done.skipped) == (5, 5, 1, 4)
    assert [state(core, post) for post in (other, late, kept)] == [
        ["scheduled"],
        ["scheduled"],
        ["cancelled"],
    ]


def test_a_count_expires_and_only_the_newest_of_a_caller_are_kept(
    core: CoreFixture, monkeypatch: Any
) -> None:
    accept(core)
    monkeypatch.setattr(steering, "COUNTS", 2)
    tokens = [ask(core, Verb.CANCEL, of(core)).token for _ in range(3)]
    with pytest.raises(Refusal, match="has expired") as refused:
        ask(core, Verb.CANCEL, of(core), token=tokens[0])
    assert (refused.value.status, refused.value.code) == (409, "plan_changed")
    core.run("UPDATE steering_counts SET made_at = now() - interval '61 minutes'")
    redispatch_steering(core.context)
    with pytest.raises(Refusal, match="has expired"):
        ask(core, Verb.CANCEL, of(core), token=tokens[2])


def test_a_filter_that_selects_too_many_is_refused(core: CoreFixture, monkeypatch: Any) -> None:
    for _ in range(2):
        accept(core)
    monkeypatch.setattr(steering, "MOST", 1)
    with pytest.raises(Refusal, match="selects 2 deliveries, and a job takes at most 1") as refused:
        ask(core, Verb.CANCEL, of(core), confirm=True)
    assert (refused.value.status, refused.value.code) == (400, "validation_failed")
    with core.context.database.begin() as c:
        assert rows(c, "SELECT token FROM steering_counts") == []
