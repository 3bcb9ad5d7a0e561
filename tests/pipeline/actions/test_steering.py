"""Steering jobs: what a filter selects is counted, then acted on once; what is armed or changed is left, with why."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from adapters.contract import Platform
from pipeline.actions.steer_step import run_steering_step
from pipeline.actions.steering import Counted, Steering, steer
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
from pipeline.store.steering.jobs import SteeringJob, find_job
from pipeline.store.steering.receipts import list_receipts
from tests.crash_table import Crashes, get_points
from tests.pipeline.core_fixture import CoreFixture

DAY = timedelta(days=1)
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
