"""The undo of a steering job: what it did is as before; what changed, is late or was taken since is left, with why."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from adapters.contract import Platform
from pipeline.actions.cancel_delete_retry import delete
from pipeline.actions.edit import edit
from pipeline.actions.post_changes import Change
from pipeline.actions.steer_step import run_steering_step
from pipeline.actions.steering import stop
from pipeline.actions.undo import undo_job
from pipeline.broker.queues import IMPORTS
from pipeline.domain.delivery import State
from pipeline.domain.hold import Hold
from pipeline.domain.level import LEVEL
from pipeline.domain.steering import HAS_UNDO, UNDO_WITHIN, Verb
from pipeline.maintenance.rescue_expired_leases import redispatch_steering
from pipeline.stages.post_request import Refusal
from pipeline.store.audit import AuditFilter, list_changes
from pipeline.store.auth.keys import Caller, Terms, create_key, find_caller
from pipeline.store.canaries import record_canary
from pipeline.store.database import rows
from pipeline.store.deliveries.release import release
from pipeline.store.deliveries.selection import ListFilter
from pipeline.store.steering.jobs import SteeringJob
from pipeline.store.steering.receipts import list_receipts
from tests.crash_table import Crashes, get_points
from tests.pipeline.actions.test_steering import (
    DAY,
    REJECTED,
    accept,
    ask,
    change,
    confirm,
    do,
    due,
    execute,
    of,
    read,
    state,
    step,
    words,
    work,
)
from tests.pipeline.core_fixture import CoreFixture

HOUR = timedelta(hours=1)


@pytest.fixture
def core(alone: CoreFixture) -> CoreFixture:
    return alone


def ask_undo(core: CoreFixture, job: SteeringJob, caller: Caller | None = None) -> SteeringJob:
    return undo_job(core.context, caller or core.caller, job.id)


def undo(core: CoreFixture, job: SteeringJob) -> SteeringJob:
    """Ask for the undo and do all of its steps."""
    return work(core, ask_undo(core, job).id)


def refused(core: CoreFixture, job: SteeringJob) -> str:
    with pytest.raises(Refusal) as caught:
        ask_undo(core, job)
    assert (caught.value.status, caught.value.code) == (409, "cannot_undo")
    return caught.value.message


def sentences(core: CoreFixture, job: SteeringJob) -> dict[UUID, str | None]:
    """Return why each post was skipped."""
    with core.context.database.begin() as c:
        return {r.post_id: r.why for r in list_receipts(c, job.id, limit=1000)}


def pauses(core: CoreFixture) -> dict[UUID, tuple[UUID, str]]:
    with core.context.database.begin() as c:
        return {r.delivery_id: (r.job_id, r.why) for r in rows(c, "SELECT * FROM paused_deliveries")}


def deliveries(core: CoreFixture, *posts: UUID) -> list[UUID]:
    return [d.id for post in posts for d in core.deliveries(post)]


def move(core: CoreFixture, post: UUID, at: str) -> None:
    """Give a post another time behind the back of everyone, as if time had passed."""
    for table in ("posts", "deliveries"):
        named = "id" if table == "posts" else "post_id"
        execute(core, f"UPDATE {table} SET due_at = {at} WHERE {named} = :id", id=post)  # noqa: S608  constants
    execute(core, "UPDATE deliveries SET next_at = due_at WHERE post_id = :id", id=post)


# --- what is undone --------------------------------------------------------------------------------------------------


def test_canceled_deliveries_are_scheduled_again_at_their_time_and_go_out(core: CoreFixture) -> None:
    one, two = accept(core), accept(core, "one", "two", due=2 * DAY)
    before = [due(core, post) for post in (one, two)]
    [other] = [d for d in core.deliveries(two) if d.account_id == core.accounts["two"]]
    job = do(core, Verb.CANCEL, of(core))
    assert (state(core, one), core.status(one)) == (["cancelled"], "canceled")
    asked = ask_undo(core, job)
    assert (asked.verb, asked.arguments.undoes, asked.arguments.undone) == ("undo", job.id, "cancel")
    assert (asked.counted, asked.selected, asked.posts) == (2, 2, 2)
    assert state(core, one) == ["cancelled"], "a worker acts, not the request"
    done = work(core, asked.id)
    assert (done.state, done.done, done.skipped) == ("done", 2, 0)
    assert (state(core, one), core.status(one)) == (["scheduled"], "scheduled")
    assert state(core, two) == ["scheduled"] * 2
    assert other in core.deliveries(two), "what the job did not cancel is not touched"
    assert [due(core, post) for post in (one, two)] == before
    move(core, one, "now() - interval '1 minute'")
    with core.context.database.begin() as c:
        assert [m.delivery for m in release(c, Platform.TIKTOK, 10, HOUR)] == deliveries(core, one)


def test_moved_posts_get_their_earlier_time(core: CoreFixture) -> None:
    posts = [accept(core, "one", "two", due=n * DAY) for n in (1, 2)]
    before = [due(core, post) for post in posts]
    platform = ListFilter(platform="tiktok")
    for more in ({"shift": HOUR}, {"start": before[1] + DAY, "end": before[1] + 2 * DAY}):
        job = do(core, Verb.RESCHEDULE, platform, **more)
        assert [due(core, post) for post in posts] != before
        done = undo(core, job)
        assert (done.done, done.skipped, done.turn) == (4, 0, 2)
        assert [due(core, post) for post in posts] == before
        assert {d.due_at for d in core.deliveries(posts[0])} == {before[0]}


def test_the_undo_of_a_pause_releases_what_it_paused_and_nothing_else(core: CoreFixture) -> None:
    post, other, again = accept(core), accept(core, "two"), accept(core)
    do(core, Verb.PAUSE, of(core, "two"), why="another reason")
    job = do(core, Verb.PAUSE, of(core), why="wrong campaign")
    [taken] = deliveries(core, again)
    one = ListFilter(deliveries=(taken,))
    do(core, Verb.RESUME, one)
    newer = do(core, Verb.PAUSE, one, why="a newer pause")
    done = undo(core, job)
    assert words(core, done) == {deliveries(core, post)[0]: None, taken: "changed"}
    assert pauses(core).keys() == {*deliveries(core, other), taken}
    assert pauses(core)[taken] == (newer.id, "a newer pause")


def test_resumed_deliveries_are_paused_again_with_their_earlier_reasons(core: CoreFixture) -> None:
    one, two = accept(core), accept(core, "two")
    for name, why in (("one", "wrong campaign"), ("two", "under review")):
        do(core, Verb.PAUSE, of(core, name), why=why)
    before = pauses(core)
    job = do(core, Verb.RESUME, ListFilter(platform="tiktok"))
    assert pauses(core) == {}
    assert undo(core, job).done == 2
    assert pauses(core) == before
    assert {before[d][1] for d in deliveries(core, one, two)} == {"wrong campaign", "under review"}


def test_what_was_paused_when_it_was_canceled_is_paused_again(core: CoreFixture) -> None:
    held, free = accept(core), accept(core)
    pause = do(core, Verb.PAUSE, ListFilter(deliveries=tuple(deliveries(core, held))), why="wait")
    job = do(core, Verb.CANCEL, of(core))
    assert pauses(core) == {}
    assert undo(core, job).done == 2
    assert pauses(core) == {deliveries(core, held)[0]: (pause.id, "wait")}
    assert state(core, held) == state(core, free) == ["scheduled"]


def test_a_job_that_was_stopped_is_undone_as_far_as_it_came(core: CoreFixture, monkeypatch: Any) -> None:
    posts = [accept(core, due=n * DAY) for n in (1, 2, 3)]
    monkeypatch.setattr("pipeline.actions.steer_step.POSTS", 1)
    job = confirm(core, Verb.CANCEL, of(core))
    step(core, job)
    assert "stop it first" in refused(core, job)
    stop(core.context, core.caller, job.id)
    done = undo(core, read(core, job.id))
    assert (done.selected, done.done) == (1, 1)
    assert [state(core, post) for post in posts] == [["scheduled"]] * 3


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", [Verb.UNDO, min(set(Verb) - HAS_UNDO - {Verb.UNDO})])
def test_other_verbs_have_no_undo(core: CoreFixture, verb: Verb) -> None:
    accept(core)
    job = do(core, Verb.CANCEL, of(core))
    job = undo(core, job) if verb is Verb.UNDO else job
    if verb is not Verb.UNDO:
        core.run("UPDATE steering_jobs SET verb = :verb WHERE id = :id", verb=str(verb), id=job.id)
    assert refused(core, job) == f"The job's verb is {verb}, which has no undo."


def test_after_ten_minutes_it_is_refused_with_the_time_of_the_end(core: CoreFixture) -> None:
    accept(core)
    job = do(core, Verb.CANCEL, of(core))
    aged = UNDO_WITHIN + timedelta(seconds=1)
    core.run("UPDATE steering_jobs SET touched_at = touched_at - :by", by=aged)
    ended = read(core, job.id).ended_at
    assert ended is not None
    message = f"The job ended at {ended.isoformat(timespec='seconds')}: it can be undone for 10 minutes."
    assert refused(core, job) == message
    core.run("UPDATE steering_jobs SET touched_at = touched_at + interval '1 minute'")
    made = ask_undo(core, job)
    core.run("UPDATE steering_jobs SET touched_at = touched_at - interval '1 day'")
    assert ask_undo(core, job).id == made.id, "the one that there is is answered however late"


def test_another_key_sees_its_own_jobs_only(core: CoreFixture) -> None:
    accept(core)
    job = do(core, Verb.CANCEL, of(core))
    with core.context.database.begin() as c:
        bound = find_caller(c, create_key(c, core.workspace, "b", Terms(accounts=[core.accounts["one"]])))
    assert bound is not None
    with pytest.raises(Refusal) as caught:
        ask_undo(core, job, bound)
    assert caught.value.status == 404
    unbound, core.caller = core.caller, bound
    mine = do(core, Verb.PAUSE, of(core))
    assert mine.selected == 0
    accept(core)
    mine = do(core, Verb.PAUSE, of(core))
    made = ask_undo(core, mine, unbound)
    assert ask_undo(core, mine).id == made.id, "whoever asked for it first"


# --- what is left as it is -------------------------------------------------------------------------------------------


def test_a_pause_of_what_is_due_by_now_stays(core: CoreFixture) -> None:
    post = accept(core)
    paused = do(core, Verb.PAUSE, of(core))
    move(core, post, "now() - interval '1 minute'")
    done = undo(core, paused)
    assert sentences(core, done) == {
        post: "validation_failed: Its earlier time has passed: give it a new one."
    }
    assert pauses(core).keys() == {*deliveries(core, post)}


@pytest.mark.parametrize("verb", [Verb.CANCEL, Verb.RESCHEDULE, Verb.PAUSE, Verb.RESUME])
def test_what_was_edited_or_deleted_since_is_left(core: CoreFixture, verb: Verb) -> None:
    edited, gone, kept = (accept(core, "one", "two") for _ in range(3))
    chosen = of(core) if verb is not Verb.RESCHEDULE else ListFilter(platform="tiktok")
    if verb is Verb.RESUME:
        do(core, Verb.PAUSE, chosen)
    job = do(core, verb, chosen, **({"shift": DAY} if verb is Verb.RESCHEDULE else {}))
    edit(core.context, core.caller, edited, Change(given=frozenset({"caption"}), caption="another"))
    delete(core.context, core.caller, [gone])
    before = [core.deliveries(post) for post in (edited, gone)]
    done = undo(core, job)
    found = {post: str(why).partition(":")[0] for post, why in sentences(core, done).items()}
    assert found.pop(kept) == "None"
    assert found == {edited: "cannot_undo" if verb is Verb.CANCEL else "changed", gone: "not_found"}
    assert [core.deliveries(post) for post in (edited, gone)] == before


def test_what_was_armed_published_or_failed_since_is_left(core: CoreFixture) -> None:
    armed, published, failed = posts = [core.ledger.post([core.accounts["one"]]) for _ in range(3)]
    for post in posts:
        move(core, post.id, "now() + interval '1 day'")
    job = do(core, Verb.RESCHEDULE, of(core), shift=-HOUR)
    resumed = do(core, Verb.PAUSE, of(core)), do(core, Verb.RESUME, of(core))
    for post in (armed, published):
        core.run("UPDATE deliveries SET due_at = now(), next_at = now() WHERE post_id = :id", id=post.id)
    core.ledger.armed(armed)
    core.ledger.put(published, State.PUBLISHED)
    change(core, failed.id, f"state = 'failed', {REJECTED}")
    before = [core.deliveries(post.id) for post in posts]
    changed = dict.fromkeys([*published.deliveries, *failed.deliveries], "changed")
    for one in (job, resumed[1]):
        assert words(core, undo(core, one)) == {armed.deliveries[0]: "post_in_flight", **changed}
    assert [core.deliveries(post.id) for post in posts] == before
    assert pauses(core) == {}


def test_a_worker_below_the_level_of_an_undo_leaves_it_to_newer_ones(core: CoreFixture) -> None:
    """In a rolling upgrade: the older worker cancels, which it understands, and does not undo."""
    post = accept(core)
    older = replace(core.context, settings=core.context.settings.model_copy(update={"level": 3}))
    cancel = confirm(core, Verb.CANCEL, of(core))
    run_steering_step(older, cancel.id)
    assert state(core, post) == ["cancelled"]
    asked = ask_undo(core, read(core, cancel.id))
    queued = core.messages(IMPORTS)
    run_steering_step(older, asked.id)
    core.run("UPDATE steering_jobs SET touched_at = now() - interval '1 minute'")
    assert redispatch_steering(older) == 0
    assert core.messages(IMPORTS) == queued
    assert (read(core, asked.id).done, state(core, post)) == (0, ["cancelled"])
    assert read(core, asked.id).held_for is None, "no worker was seen yet"
    with core.context.database.begin() as c:
        record_canary(c, IMPORTS, older.level)
    assert read(core, asked.id).held_for is Hold.NEWER_WORKER
    with core.context.database.begin() as c:
        record_canary(c, IMPORTS, LEVEL)
    assert read(core, asked.id).held_for is None
    assert redispatch_steering(core.context) == 1
    assert step(core, asked).done == 1
    assert state(core, post) == ["scheduled"]


# --- at once, in order, after a crash --------------------------------------------------------------------------------


def test_two_undos_at_once_are_one_job(core: CoreFixture) -> None:
    post = accept(core)
    job = do(core, Verb.CANCEL, of(core))
    barrier, found = threading.Barrier(2), []

    def run() -> None:
        barrier.wait()
        found.append(ask_undo(core, job).id)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2
    assert len(set(found)) == 1
    assert work(core, found[0]).done == 1
    assert core.deliveries(post)[0].generation == 2, "canceled once, restored once"
    with core.context.database.begin() as c:
        recorded = list_changes(c, AuditFilter(subject=str(found[0])), limit=10)
    assert [(one.verb, one.kind, one.actor_id) for one in recorded] == [
        ("undo", "steering job", core.caller.key_id)
    ]
    assert recorded[0].after == {"undoes": str(job.id), "undone": "cancel", "counted": 1}


def test_a_resume_after_the_undo_of_one_waits_for_it(core: CoreFixture) -> None:
    accept(core)
    do(core, Verb.PAUSE, of(core))
    undoing = ask_undo(core, do(core, Verb.RESUME, of(core)))
    resume = confirm(core, Verb.RESUME, of(core))
    assert resume.waits_for == [undoing.id]
    assert (work(core, undoing.id).done, work(core, resume.id).done, pauses(core)) == (1, 1, {})
    ask_undo(core, do(core, Verb.CANCEL, of(core)))
    assert ask(core, Verb.RESUME, of(core)).count.deliveries == 0, "the undo of a cancel pauses nothing"


@pytest.mark.parametrize("point", get_points("test_an_undo_whose_worker_dies_goes_on_and_undoes_once"))
@pytest.mark.parametrize("verb", [Verb.CANCEL, Verb.RESCHEDULE])
def test_an_undo_whose_worker_dies_goes_on_and_undoes_once(
    core: CoreFixture, module_environment: dict[str, str], crashes: Crashes, point: str, verb: Verb
) -> None:
    posts = [accept(core, due=n * DAY) for n in (1, 2, 3)]
    before = [due(core, post) for post in posts]
    job = do(core, verb, of(core), **({"shift": HOUR} if verb is Verb.RESCHEDULE else {}))
    undoing = ask_undo(core, job)
    crashes.crash(module_environment, point, "step_steering", str(undoing.id))
    core.run("UPDATE steering_jobs SET lease_until = NULL, touched_at = now() - interval '1 minute'")
    assert redispatch_steering(core.context) == 1
    done = work(core, undoing.id)
    assert (done.selected, done.done, done.skipped) == (3, 3, 0)
    assert [due(core, post) for post in posts] == before
    assert {d.generation for post in posts for d in core.deliveries(post)} == {2}


def test_an_undo_is_done_though_the_process_died_that_stored_it(
    core: CoreFixture, module_environment: dict[str, str], crashes: Crashes
) -> None:
    post = accept(core)
    job = do(core, Verb.CANCEL, of(core))
    with core.context.database.begin() as c:
        key = create_key(c, core.workspace, "dies")
    crashes.crash(module_environment, "undo.stored", "undo_steering", key, str(job.id))
    core.run("UPDATE steering_jobs SET touched_at = now() - interval '1 minute' WHERE state = 'working'")
    assert redispatch_steering(core.context) == 1
    work(core, ask_undo(core, job).id)
    assert state(core, post) == ["scheduled"]
