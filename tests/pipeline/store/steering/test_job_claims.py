"""Claims of jobs, receipts of deliveries and lifted pauses: each of its own job, and once."""
# ruff: noqa: S608  assignments of this file are put into statements; values are always bound

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from pipeline.domain.delivery import State
from pipeline.domain.level import LEVEL
from pipeline.store import jobs
from pipeline.store.database import new_id, rows
from pipeline.store.posts.undo_log import Before
from pipeline.store.steering.jobs import JOBS, lock_job
from pipeline.store.steering.receipts import (
    pause_deliveries,
    pause_each,
    read_befores,
    resume_deliveries,
    settle,
)
from tests.pipeline.store.ledger import LEASE, Ledger, together

OVER = "lease_until = now() - interval '1 second'"
DONE = "state = 'done'"


def create(ledger: Ledger, workspace: UUID, token: str) -> UUID:
    """Store a job that has a next step."""
    [made] = read(
        ledger,
        """INSERT INTO steering_jobs (id, workspace_id, verb, arguments, filter, token, state, counted)
           VALUES (:id, :w, 'pause', '{}', '{"state": "scheduled"}', :token, 'working', 1) RETURNING id""",
        id=new_id(),
        w=workspace,
        token=token,
    )
    identity: UUID = made.id
    return identity


def read(ledger: Ledger, sql: str, **values: Any) -> list[Any]:
    return ledger.do(rows, sql, **values)


def change(ledger: Ledger, job: UUID, assignments: str) -> None:
    read(ledger, f"UPDATE steering_jobs SET {assignments} WHERE id = :id RETURNING id", id=job)


def claims(ledger: Ledger, job: UUID, level: int = LEVEL) -> bool:
    return ledger.do(jobs.claim, JOBS, job, LEASE, level=level) is not None


@pytest.fixture
def pair(ledger: Ledger) -> tuple[UUID, UUID]:
    """Two jobs of one workspace."""
    workspace = ledger.workspace()
    return create(ledger, workspace, "one"), create(ledger, workspace, "two")


@pytest.mark.parametrize(
    ("before", "may"),
    [
        ("lease_until = NULL", True),
        (OVER, True),
        ("lease_until = now() + interval '1 minute'", False),
        (f"{DONE}, {OVER}", False),
    ],
)
def test_a_job_is_claimed_if_it_has_a_next_step_that_no_one_works_on(
    ledger: Ledger, pair: tuple[UUID, UUID], before: str, *, may: bool
) -> None:
    job, other = pair
    change(ledger, job, before)
    untouched = read(ledger, "SELECT * FROM steering_jobs WHERE id = :id", id=other)
    claimed = ledger.do(jobs.claim, JOBS, job, LEASE)
    assert (claimed is not None) is may
    if claimed is not None:
        assert claimed.id == job
    assert read(ledger, "SELECT * FROM steering_jobs WHERE id = :id", id=other) == untouched


def test_of_eight_workers_one_claims_a_job(ledger: Ledger, pair: tuple[UUID, UUID]) -> None:
    assert sum(together(*[lambda: claims(ledger, pair[0])] * 8)) == 1


def test_a_job_above_the_level_of_a_worker_is_left_to_newer_ones(
    ledger: Ledger, pair: tuple[UUID, UUID]
) -> None:
    newer, plain = pair
    change(ledger, newer, f"level = {LEVEL}, touched_at = now() - interval '1 hour'")
    change(ledger, plain, "level = 1, touched_at = now() - interval '1 hour'")
    assert not claims(ledger, newer, LEVEL - 1)
    with ledger.database.begin() as c:
        older = jobs.list_unclaimed(c, JOBS, timedelta(minutes=1), 10, LEVEL - 1)
        assert older == [plain], "an older one does not put the newer job off either"
        assert jobs.list_unclaimed(c, JOBS, timedelta(minutes=1), 10, LEVEL) == [newer]
    assert claims(ledger, plain, LEVEL - 1)
    assert claims(ledger, newer)


def test_a_step_is_stored_with_its_own_job(ledger: Ledger, pair: tuple[UUID, UUID]) -> None:
    job, other = pair
    assert claims(ledger, job)
    assert claims(ledger, other)
    ledger.do(jobs.change, JOBS, job, state="selecting", turn=3)
    found = read(ledger, "SELECT id, state, turn, lease_until IS NULL AS free FROM steering_jobs ORDER BY id")
    assert [tuple(r) for r in found] == [(job, "selecting", 3, True), (other, "working", 0, False)]


def test_only_a_job_that_no_one_has_had_for_a_while_is_dispatched_again(ledger: Ledger) -> None:
    workspace = ledger.workspace()
    ago = "touched_at = now() - interval '1 hour'"
    for token, assignments in {
        "touched": "touched_at = now()",
        "claimed": f"{ago}, lease_until = now() + interval '1 minute'",
        "ended": f"{ago}, {DONE}",
    }.items():
        change(ledger, create(ledger, workspace, token), assignments)
    lost = [create(ledger, workspace, token) for token in ("never claimed", "lease is over")]
    for job, lease in zip(lost, ("lease_until = NULL", OVER), strict=True):
        change(ledger, job, f"{ago}, {lease}")
    assert sorted(ledger.do(jobs.list_unclaimed, JOBS, timedelta(minutes=1), 10)) == sorted(lost)


def test_a_job_is_locked_in_the_state_it_was_claimed_in(ledger: Ledger, pair: tuple[UUID, UUID]) -> None:
    _, job = pair
    with ledger.database.begin() as c:
        claimed = jobs.claim(c, JOBS, job, LEASE)
        assert claimed is not None
        locked = lock_job(c, claimed)
        assert locked is not None
        assert locked.id == job, "not the other one, which is in the same state"
    change(ledger, job, "state = 'selecting'")
    assert ledger.do(lock_job, claimed) is None


def test_the_first_outcome_of_a_receipt_stays_and_no_other_is_stored_with_it(
    ledger: Ledger, pair: tuple[UUID, UUID]
) -> None:
    deliveries = sorted(new_id() for _ in range(2))
    for job in pair:
        for delivery in deliveries:
            read(
                ledger,
                """INSERT INTO steering_receipts (job_id, delivery_id, post_id, due_at, generation)
                   VALUES (:job, :id, :id, now(), 0) RETURNING job_id""",
                job=job,
                id=delivery,
            )
    for why in ("too late", None):
        ledger.do(settle, pair[0], {deliveries[0]: why}, {})
    found = read(
        ledger, "SELECT job_id, delivery_id, outcome, why FROM steering_receipts WHERE outcome IS NOT NULL"
    )
    assert [tuple(r) for r in found] == [(pair[0], deliveries[0], "skipped", "too late")]


def test_a_pause_is_lifted_from_the_deliveries_that_are_named(ledger: Ledger) -> None:
    waiting, other, unknown = ledger.fresh(), ledger.fresh(), ledger.fresh(State.UNKNOWN)
    ids = [post.deliveries[0] for post in (waiting, other, unknown)]
    for delivery in ids:
        ledger.change(delivery, """unavailable_since = '{"platform": "2027-01-01T00:00:00+00:00"}'""")
    with ledger.database.begin() as c:
        pause_deliveries(c, ids, new_id(), "why")
        resume_deliveries(c, [ids[0], ids[2]])
    assert [r.delivery_id for r in read(ledger, "SELECT delivery_id FROM paused_deliveries")] == [ids[1]]
    streaks = [ledger.delivery(delivery).unavailable_since is not None for delivery in ids]
    assert streaks == [False, True, True], "that of an unknown delivery is no matter of a pause"


def test_the_pause_of_one_job_is_lifted_and_an_earlier_pause_stays(ledger: Ledger) -> None:
    ids = [ledger.fresh().deliveries[0] for _ in range(3)]
    mine, other = new_id(), new_id()
    with ledger.database.begin() as c:
        pause_deliveries(c, ids[:1], mine, "mine")
        assert pause_each(c, {ids[0]: (other, "late"), ids[1]: (other, "other")}) == {ids[1]}
        assert resume_deliveries(c, ids, only=mine) == {ids[0]}
        left = rows(c, "SELECT delivery_id, job_id, why FROM paused_deliveries")
    assert [tuple(r) for r in left] == [(ids[1], other, "other")]
    assert ledger.do(resume_deliveries, ids) == {ids[1]}


def test_a_receipt_keeps_what_was_before_if_it_was_done(ledger: Ledger, pair: tuple[UUID, UUID]) -> None:
    ids = sorted(new_id() for _ in range(3))
    befores = {
        one: Before(state=State.SCHEDULED, due_at=datetime.now(UTC), edits=n) for n, one in enumerate(ids)
    }
    for job in pair:
        for delivery in ids:
            read(
                ledger,
                """INSERT INTO steering_receipts (job_id, delivery_id, post_id, due_at, generation)
                   VALUES (:job, :id, :id, now(), 0) RETURNING job_id""",
                job=job,
                id=delivery,
            )
    with ledger.database.begin() as c:
        settle(c, pair[0], {ids[0]: None, ids[1]: "too late", ids[2]: None}, befores)
        settle(c, pair[1], {ids[0]: None}, {})
        assert read_befores(c, pair[0], ids[:2]) == {ids[0]: befores[ids[0]]}
        assert read_befores(c, pair[1], ids) == {}
