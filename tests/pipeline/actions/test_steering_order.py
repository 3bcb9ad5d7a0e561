"""The order of steering jobs: cancel and pause come first, the others wait; a token acts on what was counted."""

from __future__ import annotations

import threading
from datetime import timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest

from pipeline.actions import steering
from pipeline.actions.edit import edit
from pipeline.actions.post_changes import Change
from pipeline.actions.steer_step import run_steering_step
from pipeline.actions.steering import stop
from pipeline.broker.queues import IMPORTS
from pipeline.domain.steering import Verb
from pipeline.maintenance.rescue_expired_leases import redispatch_steering
from pipeline.stages.post_request import Refusal
from pipeline.store.database import rows
from pipeline.store.deliveries.selection import ListFilter
from pipeline.store.steering import receipts
from pipeline.store.steering.jobs import SteeringJob
from tests.crash_table import Crashes, get_points
from tests.pipeline.actions.test_steering import (
    DAY,
    REJECTED,
    accept,
    ask,
    change,
    do,
    due,
    execute,
    of,
    read,
    state,
    words,
    work,
)
from tests.pipeline.core_fixture import CoreFixture

HOUR = timedelta(hours=1)


@pytest.fixture
def core(alone: CoreFixture) -> CoreFixture:
    return alone


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
