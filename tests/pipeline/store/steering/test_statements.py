"""Statements about steering jobs: each changes what it says of its own job, and nothing beside it.

Beside each stand jobs of another workspace, jobs that have ended, those of another verb, and other deliveries.
"""
# ruff: noqa: S608  assignments of this file are put into statements

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection

from pipeline.domain.steering import Arguments, Verb
from pipeline.store.auth.keys import Caller, create_key, find_caller
from pipeline.store.database import new_id, rows
from pipeline.store.deliveries.selection import ListFilter
from pipeline.store.steering import jobs, receipts
from tests.pipeline.store.ledger import Ledger
from tests.pipeline.store.steering.test_job_claims import create, read

A, B, C, D = (new_id() for _ in range(4))


class World:
    """Jobs by name, and their receipts."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.workspace, self.other = ledger.workspace(), ledger.workspace()
        self.jobs: dict[str, UUID] = {}

    def add(
        self, name: str, of: Sequence[tuple[UUID, int]], assign: str = "", *, other: bool = False
    ) -> None:
        """Add a working job of verb pause with open receipts: delivery and generation of each."""
        job = self.jobs[name] = create(self.ledger, self.other if other else self.workspace, name)
        self.assign("steering_jobs", f"selected = 9{assign and ', '}{assign}", f"id = '{job}'")
        with self.ledger.database.begin() as c:
            for delivery, generation in of:
                rows(
                    c,
                    """INSERT INTO steering_receipts (job_id, delivery_id, post_id, due_at, generation)
                       VALUES (:job, :d, :d, now(), :g) RETURNING job_id""",
                    job=job,
                    d=delivery,
                    g=generation,
                )

    def assign(self, table: str, assignments: str, condition: str) -> None:
        read(self.ledger, f"UPDATE {table} SET {assignments} WHERE {condition} RETURNING 1")

    def end_receipt(self, name: str, delivery: UUID) -> None:
        self.assign(
            "steering_receipts",
            "outcome = 'done'",
            f"job_id = '{self.jobs[name]}' AND delivery_id = '{delivery}'",
        )

    def read(self) -> dict[Any, Any]:
        """Return each row with the transaction that wrote it, by job, or job and delivery."""
        named = {job: name for name, job in self.jobs.items()}
        found = read(self.ledger, "SELECT xmin, * FROM steering_jobs")
        of = read(self.ledger, "SELECT xmin, * FROM steering_receipts")
        return {named[r.id]: r for r in found} | {(named[r.job_id], r.delivery_id): r for r in of}

    def list_changes(self, before: dict[Any, Any]) -> set[Any]:
        after = self.read()
        return {name for name in after if after[name] != before[name]}


@pytest.fixture
def world(ledger: Ledger) -> World:
    return World(ledger)


@pytest.fixture
def c(ledger: Ledger) -> Iterator[Connection]:
    with ledger.database.begin() as c:
        yield c


def become(c: Connection, workspace: UUID) -> Caller:
    found = find_caller(c, create_key(c, workspace, "tests"))
    assert found is not None
    return found


def test_a_job_takes_and_awaits_what_earlier_ones_have_yet_to_do(world: World) -> None:
    world.add("earlier", [(A, 0), (B, 0), (C, 0)])
    world.end_receipt("earlier", C)
    world.add("elsewhere", [(A, 0)], other=True)
    world.add("ended", [(A, 0)], "state = 'stopped'")
    world.add("of another verb", [(A, 0)], "verb = 'retry'")
    world.add("of another delivery", [(D, 0)])
    world.add("acted", [(A, 0)])
    world.end_receipt("acted", A)
    world.add("neighbour", [(B, 0), (D, 0)], "verb = 'cancel', state = 'selecting'")
    world.add("new", [(A, 0), (C, 0)], "verb = 'cancel'")
    before = world.read()
    world.ledger.do(receipts.wait, world.jobs["new"])
    assert world.list_changes(before) == {"new"}
    assert set(world.read()["new"].waits_for) == {world.jobs["earlier"], world.jobs["of another verb"]}
    before = world.read()
    world.ledger.do(receipts.take, world.jobs["new"], [Verb.PAUSE])
    assert world.list_changes(before) == {"earlier", ("earlier", A)}
    assert world.read()["earlier"].skipped == 1


def test_an_undo_has_what_its_job_did_and_is_found_by_it(world: World, c: Connection) -> None:
    world.add("done", [(A, 4), (B, 0), (C, 0)])
    world.end_receipt("done", A)
    world.assign("steering_receipts", "outcome = 'skipped', why = 'late'", f"delivery_id = '{B}'")
    world.add("neighbour", [(D, 0)])
    world.end_receipt("neighbour", D)
    mine = become(c, world.workspace)
    undone = jobs.find_job(c, mine, world.jobs["done"])
    neighbour = jobs.find_job(c, mine, world.jobs["neighbour"])
    assert undone is not None
    assert neighbour is not None
    made = jobs.create_undo(c, mine, replace(undone, verb=Verb.CANCEL))
    found = jobs.find_undo(c, undone)
    assert found is not None
    assert (found.id, found.verb, found.selected, found.posts, found.counted) == (made, Verb.UNDO, 1, 1, 1)
    assert jobs.find_undo(c, neighbour) is None
    assert jobs.find_undo(c, replace(undone, workspace_id=world.other)) is None
    [receipt] = receipts.list_receipts(c, made, limit=9)
    assert (receipt.delivery_id, receipt.generation, receipt.outcome) == (A, 5, None), "a cancel raises it"


def test_those_that_waited_know_what_was_done(world: World) -> None:
    at = [world.ledger.fresh().deliveries[0] for _ in range(4)]
    for delivery in at[:3]:
        world.ledger.change(delivery, "generation = 5")
    world.ledger.change(at[3], "generation = 4")
    world.add("done", [(one, 4) for one in at])
    world.add("neighbour", [(at[0], 3)])
    waits = f"waits_for = '{{{world.jobs['done']}}}'"
    world.add("later", [(one, 4) for one in at], waits)
    world.end_receipt("later", at[1])
    world.add("of another generation", [(at[0], 3)], waits)
    world.add("ended", [(at[0], 4)], f"{waits}, state = 'stopped'")
    world.add("not waiting", [(at[0], 4)])
    world.add("an undo", [(at[0], 4)], f"{waits}, verb = 'undo'")
    before = world.read()
    world.ledger.do(receipts.carry, world.jobs["done"], [at[0], at[1], at[3]])
    assert world.list_changes(before) == {("later", at[0])}
    assert world.read()["later", at[0]].generation == 5


def count(c: Connection, workspace: UUID, token: str, key: UUID | None, of: Sequence[UUID] = ()) -> None:
    rows(
        c,
        """INSERT INTO steering_counts (workspace_id, token, key_id, deliveries, generations)
           VALUES (:w, :token, :key, :of, array_fill(0, ARRAY[cardinality(CAST(:of AS uuid[]))])) RETURNING token""",
        w=workspace,
        token=token,
        key=key,
        of=list(of),
    )


def list_counts(c: Connection) -> set[tuple[UUID, str]]:
    return {(r.workspace_id, r.token) for r in rows(c, "SELECT workspace_id, token FROM steering_counts")}


def test_the_newest_counts_of_a_caller_stay(world: World, c: Connection) -> None:
    mine, colleague = become(c, world.workspace), become(c, world.workspace)
    for n in range(3):
        count(c, world.workspace, f"mine {n}", mine.stored_key)
        count(c, world.workspace, f"colleague {n}", colleague.stored_key)
        count(c, world.other, f"other {n}", mine.stored_key)
    before = list_counts(c)
    receipts.drop_old_counts(c, mine, 1)
    assert before - list_counts(c) == {(world.workspace, "mine 0"), (world.workspace, "mine 1")}


def test_a_job_has_the_receipts_of_its_own_count(world: World) -> None:
    mine, other = world.ledger.fresh(accounts=2), world.ledger.fresh()
    world.add("t", [])
    world.add("u", [])
    with world.ledger.database.begin() as c:
        count(c, world.workspace, "t", None, mine.deliveries)
        count(c, world.workspace, "u", None, other.deliveries)
        count(c, world.other, "t", None, other.deliveries)
    before = world.read()
    with world.ledger.database.begin() as c:
        receipts.select(c, world.jobs["t"])
        assert list_counts(c) == {(world.workspace, "u"), (world.other, "t")}
    after = world.read()
    assert after.keys() - before.keys() == {("t", one) for one in mine.deliveries}
    assert (after["t"].selected, after["t"].posts) == (2, 1)
    assert after["u"] == before["u"]


def test_a_job_is_made_from_a_count_of_its_workspace_and_found_by_its_token(
    world: World, c: Connection
) -> None:
    mine, other = become(c, world.workspace), become(c, world.other)
    count(c, world.workspace, "t", mine.stored_key, [A])
    asked: dict[str, Any] = {
        "verb": Verb.PAUSE,
        "arguments": Arguments(),
        "chosen": ListFilter(platform="tiktok"),
    }
    assert jobs.create_job(c, other, token="t", **asked) is None
    assert jobs.create_job(c, mine, token="another", **asked) is None
    made = jobs.create_job(c, mine, token="t", **asked)
    assert made is not None
    assert jobs.find_job(c, other, made) is None
    assert jobs.find_job(c, mine, new_id()) is None
    assert [jobs.find_job(c, mine, made) is None, jobs.find_job(c, mine, token="t") is None] == [False, False]


def test_the_working_jobs_of_one_workspace_are_locked(world: World, c: Connection) -> None:
    world.add("mine", [])
    world.add("ended", [], "state = 'stopped'")
    world.add("elsewhere", [], other=True)
    with world.ledger.database.begin() as d:
        rows(d, "SELECT id FROM steering_jobs WHERE token <> 'mine' FOR UPDATE")
        c.exec_driver_sql("SET LOCAL lock_timeout = '5s'")
        jobs.lock_jobs(c, world.workspace)
