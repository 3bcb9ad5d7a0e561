"""A slice of an import: several chunks by one message, and what is not judged a second time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, text

from pipeline.api.posts.schema import build_post_format
from pipeline.broker.queues import list_ticks
from pipeline.domain.account import KeyLimits
from pipeline.domain.bulk_import import ImportState
from pipeline.imports import apply, control, import_slice
from pipeline.imports.import_slice import CHUNK_BESIDE_REQUESTS, ImportSlice
from pipeline.imports.step import run_step
from pipeline.maintenance.rescue_expired_leases import IDLE
from pipeline.runtime import job_loop
from pipeline.runtime.context import ShutdownSignal
from pipeline.runtime.failpoint import failpoint
from pipeline.stages.post_rules import find_problems
from pipeline.store import jobs
from pipeline.store.auth.keys import Terms, count_posts, create_key, find_caller
from pipeline.store.database import Database, row, rows
from pipeline.store.imports import imports as store
from pipeline.store.imports.imports import Import
from pipeline.store.imports.rows import list_to_apply
from pipeline.store.jobs import begin_step, list_unclaimed
from pipeline.store.posts.idempotency import has_requests
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.imports.row_imports import find_import, upload_rows
from tests.waiting import until

CHUNK = 60
LONG = 600.0
"""Seconds: more than any of these imports takes."""


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of fewer rows, so that a few rows are several chunks."""
    defaults = ImportSlice.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "size", CHUNK)
    for module in (import_slice, apply):
        monkeypatch.setattr(module, "CHUNK", CHUNK)


def work(core: CoreFixture, identity: UUID, seconds: float = LONG) -> Import:
    run_step(core.context, identity, build_post_format(core.context.settings), seconds=seconds)
    return find_import(core, identity)


def plan_and_begin(core: CoreFixture, count: int) -> UUID:
    """Plan a file of so many rows, and begin to apply it."""
    planned = work(core, upload_rows(core, count))
    assert (planned.state, planned.accepted, planned.plan_hash is None) == (ImportState.PLANNED, count, False)
    control.apply(core.context, core.caller, planned.id, (planned.plan_hash or b"").hex())
    return planned.id


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Captions of the posts that the platforms' rules were asked about, from now on."""
    seen: list[str] = []

    def ask(context: Any, content: Any, *rest: Any) -> Any:
        seen.append(content.caption)
        return find_problems(context, content, *rest)

    monkeypatch.setattr("pipeline.stages.post_rules.find_problems", ask)
    return seen


def test_a_chunk_reads_its_own_rows_only_however_many_the_import_has(ready: CoreFixture) -> None:
    """Until the table is counted again, the planner takes an import for a few rows, and would sort all of them."""
    identity = work(ready, upload_rows(ready, CHUNK)).id
    more = """INSERT INTO import_rows (import_id, number, line, verdict, action, identity, occurrence)
              SELECT import_id, number + :chunk * n, line, verdict, action, identity, n
              FROM import_rows, generate_series(1, 400) AS n WHERE import_id = :id RETURNING number"""

    def count_read(c: Connection) -> int:
        sql = "SELECT coalesce(idx_tup_fetch, 0) + seq_tup_read AS n FROM pg_stat_xact_user_tables WHERE relname = :t"
        return int(rows(c, sql, t="import_rows")[0].n)

    with begin_step(ready.context.database) as c:
        rows(c, more, id=identity, chunk=CHUNK)
        before = count_read(c)
        assert len(list_to_apply(c, identity, CHUNK, 25)) == 25
        assert count_read(c) - before == 25
        c.rollback()


def test_without_time_it_does_one_chunk_and_leaves_the_rest_to_the_next(ready: CoreFixture) -> None:
    found = work(ready, upload_rows(ready, CHUNK + 3), seconds=0)
    assert (found.state, found.rows) == (ImportState.READING, CHUNK)
    assert work(ready, found.id, seconds=0).state is ImportState.PLANNED


def test_a_worker_that_shuts_down_begins_no_other_chunk(ready: CoreFixture) -> None:
    stopping = replace(ready, context=replace(ready.context, shutdown=ShutdownSignal()))
    identity = plan_and_begin(ready, 2 * CHUNK)
    stopping.context.shutdown.begin(60)
    assert work(stopping, identity).done == CHUNK
    assert work(ready, identity).result == {"created": 2 * CHUNK}, "another worker goes on at once"


def test_a_pause_ends_the_slice_after_the_chunk_in_progress(
    ready: CoreFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = plan_and_begin(ready, 2 * CHUNK)

    def pause_after_a_chunk(name: str, *about: Any) -> None:
        failpoint(name, *about)
        if name == "imports.applied":
            control.pause(ready.context, ready.caller, identity)

    with monkeypatch.context() as patch:
        patch.setattr("pipeline.imports.apply.failpoint", pause_after_a_chunk)
        paused = work(ready, identity)
    assert (paused.state, paused.done, len(ready.posts())) == (ImportState.PAUSED, CHUNK, CHUNK)
    control.resume(ready.context, ready.caller, identity)
    assert work(ready, identity).result == {"created": 2 * CHUNK}


def change_account(core: CoreFixture) -> CoreFixture:
    core.run("UPDATE accounts SET connection = 'unheard-of' WHERE workspace_id = :w", w=core.workspace)
    return core


@pytest.mark.parametrize(
    ("change", "is_judged", "result"),
    [
        (lambda core: core, False, {"created": 2}),
        (change_account, True, {"refused": 2}),
        (lambda core: core.with_settings(ingest={"music_required": True}), True, {"created": 2}),
    ],
    ids=["nothing", "the account", "a setting"],
)
def test_rows_are_judged_again_where_a_fact_was_changed_since(
    ready: CoreFixture,
    judged: list[str],
    change: Callable[[CoreFixture], CoreFixture],
    is_judged: bool,
    result: dict[str, int],
) -> None:
    identity, captions = plan_and_begin(ready, 2), ["Row 0", "Row 1"]
    assert judged == captions
    judged.clear()
    assert work(change(ready), identity).result == result
    assert judged == (captions if is_judged else [])
    assert len(ready.posts()) == result.get("created", 0)


@pytest.fixture
def limited(ready: CoreFixture) -> CoreFixture:
    """The workspace as a key sees it that may send three posts a day."""
    with ready.context.database.begin() as c:
        terms = Terms(limits=KeyLimits(posts_per_day=3))
        caller = find_caller(c, create_key(c, ready.workspace, "limited", terms))
    assert caller is not None
    return replace(ready, caller=caller)


def change_key(core: CoreFixture, change: str) -> None:
    with core.context.database.begin() as c:
        c.execute(text(f"UPDATE keys SET {change} WHERE id = :id"), {"id": core.caller.key_id})  # noqa: S608


def test_rows_count_as_posts_of_the_key_and_wait_for_the_next_day(limited: CoreFixture) -> None:
    identity = plan_and_begin(limited, 5)
    held = work(limited, identity)
    assert (held.state, held.result, len(limited.posts())) == (ImportState.APPLYING, {"created": 3}, 3)
    assert held.held is not None
    assert (held.held["code"], "3 posts a day" in held.held["message"]) == ("rate_limited", True)
    assert work(limited, identity).done == 3, "it is held"
    with limited.context.database.begin() as c:
        c.execute(text("UPDATE imports SET touched_at = now() - interval '1 hour'"))
        assert identity not in list_unclaimed(c, store.JOBS, timedelta(seconds=5), 1000)
        c.execute(text("UPDATE imports SET lease_until = now() WHERE lease_until > now()"))
    change_key(limited, "counted_on = counted_on - 1")
    done = work(limited, identity)
    assert (done.state, done.result, done.held) == (ImportState.APPLIED, {"created": 5}, None)


def test_a_raised_limit_counts_once_the_import_is_resumed(limited: CoreFixture) -> None:
    identity = plan_and_begin(limited, 5)
    assert work(limited, identity).held is not None
    change_key(limited, "posts_per_day = 10")
    control.pause(limited.context, limited.caller, identity)
    assert control.resume(limited.context, limited.caller, identity).held is None
    assert work(limited, identity).result == {"created": 5}


def test_a_day_that_other_posts_of_the_key_fill_meanwhile_keeps_the_chunk_from_being_stored(
    limited: CoreFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = plan_and_begin(limited, 3)

    def post_beside(name: str, *about: Any) -> None:
        failpoint(name, *about)
        if name == "imports.edited":
            with limited.context.database.begin() as c:
                assert count_posts(c, limited.caller.key_id, 1, 3).is_allowed

    with monkeypatch.context() as patch:
        patch.setattr("pipeline.imports.apply.failpoint", post_beside)
        first = work(limited, identity)
    assert (first.done, limited.posts()) == (0, [])
    assert work(limited, identity).result == {"created": 2}
    assert find_import(limited, identity).held is not None


# --- on a slow database ----------------------------------------------------------------------------------------------


def test_a_statement_that_takes_too_long_makes_the_chunks_smaller(
    ready: CoreFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table lock of the test stands for a slow database: statements wait until their time is over."""
    monkeypatch.setattr(jobs, "_STEP", "SELECT set_config('statement_timeout', '100ms', true)")
    identity = upload_rows(ready, 3)
    tries: list[str] = []
    other = ready.context.database.begin()
    other.__enter__().exec_driver_sql("LOCK TABLE import_rows")

    def count_tries(name: str, *about: Any) -> None:
        failpoint(name, *about)
        if name == "imports.read":
            tries.append(name)
            if len(tries) == 3:
                other.__exit__(None, None, None)

    monkeypatch.setattr("pipeline.imports.plan.failpoint", count_tries)
    assert work(ready, identity).state is ImportState.PLANNED
    assert len(tries) >= 3


def test_a_chunk_that_computes_too_long_is_tried_with_fewer_rows(
    ready: CoreFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine that is busy the server ends a transaction in which nothing is asked for long."""
    idle = "SELECT set_config('idle_in_transaction_session_timeout', '100ms', true)"
    monkeypatch.setattr(jobs, "_STEP", idle)
    tries: list[str] = []

    def count_idle(c: Connection) -> int:
        found = row(
            c,
            """SELECT count(*) AS n FROM pg_stat_activity
               WHERE datname = current_database() AND state = 'idle in transaction'""",
        )
        return int(found.n) if found else 0

    def compute_long(name: str, *about: Any) -> None:
        failpoint(name, *about)
        if name == "imports.rows-stored":
            tries.append(name)
            if len(tries) == 1:
                monkeypatch.setattr(jobs, "_STEP", "SELECT 1 AS one")
                with ready.context.database.read() as c:
                    until(lambda: count_idle(c) == 0, 60)

    monkeypatch.setattr("pipeline.imports.plan.failpoint", compute_long)
    found = work(ready, upload_rows(ready, 3))
    assert (found.state, found.rows, len(tries)) == (ImportState.PLANNED, 3, 2)


def test_reading_stops_when_its_time_is_over(ready: CoreFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_slice, "READING", 0.0)
    found = work(ready, upload_rows(ready, 3), seconds=0)
    assert (found.state, found.rows) == (ImportState.READING, 1)
    assert work(ready, found.id).state is ImportState.PLANNED


@pytest.mark.parametrize(
    ("rows", "seconds", "following"), [(100, 0.075, 200), (100, 0.3, 50), (100, 0.0, 400), (1, 9.0, 1)]
)
def test_the_next_chunk_fits_the_time_of_a_transaction(rows: int, seconds: float, following: int) -> None:
    assert job_loop.next_chunk_size(rows, seconds) == following


def test_chunks_shrink_to_one_row(ready: CoreFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    slice_ = ImportSlice(
        context=ready.context,
        job=find_import(ready, upload_rows(ready, 1)),
        caller=ready.caller,
        form=build_post_format(ready.context.settings),
    )
    assert list(slice_.take(iter(range(CHUNK + 1)))) == list(range(CHUNK))
    assert slice_.size == CHUNK
    sizes = []
    while slice_.shrink():
        sizes.append(slice_.size)
    assert sizes == [15, 3, 1]
    assert not slice_.shrink(), "there is nothing smaller"
    monkeypatch.setattr(job_loop, "AIM", LONG)
    with slice_.resting():
        pass
    assert slice_.size == job_loop.GROWTH


def test_a_killed_workers_import_goes_on_within_ten_seconds(ready: CoreFixture) -> None:
    every = {tick.name: tick.every for tick in list_ticks(ready.context.settings)}
    for name in ("upkeep.imports", "upkeep.steering"):
        assert jobs.LEASE.total_seconds() + every[name] <= 8
    assert jobs.STATEMENT < jobs.LEASE
    assert IDLE < jobs.LEASE
    identity = upload_rows(ready, 1)
    with ready.context.database.begin() as c:
        assert jobs.claim(c, store.JOBS, identity, jobs.LEASE) is not None  # and its worker dies
        assert jobs.claim(c, store.JOBS, identity, jobs.LEASE) is None
        c.execute(
            text(
                "UPDATE imports SET lease_until = lease_until - interval '7.1 s', "
                "touched_at = touched_at - interval '7.1 s' WHERE id = :id"
            ),
            {"id": identity},
        )
        assert identity in list_unclaimed(c, store.JOBS, IDLE, 1000)
        assert identity not in list_unclaimed(c, store.JOBS, IDLE, 1000), "not each second"
    assert work(ready, identity).state is ImportState.PLANNED


def test_no_claim_waits_for_the_lock_of_a_step(ready: CoreFixture) -> None:
    identity = upload_rows(ready, 1)
    with ready.context.database.begin() as held, ready.context.database.begin() as c:
        assert store.lock_step(held, find_import(ready, identity))
        c.exec_driver_sql("SET LOCAL lock_timeout = '1ms'")
        assert jobs.claim(c, store.JOBS, identity, jobs.LEASE) is None
        held.exec_driver_sql("UPDATE imports SET touched_at = now() - interval '1 hour'")
        assert list_unclaimed(c, store.JOBS, timedelta(0), 1000) == []
        assert not store.lock_step(c, find_import(ready, identity))


def test_an_import_that_hangs_holds_one_thread_of_a_process(
    ready: CoreFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lease ends, and it is dispatched again and again."""
    identity, steps = upload_rows(ready, 1), []

    def dispatch_again(name: str, *about: Any) -> None:
        failpoint(name, *about)
        if name == "imports.read":
            with ready.context.database.begin() as c:
                c.execute(text("UPDATE imports SET lease_until = NULL WHERE id = :id"), {"id": identity})
            steps.append(find_import(ready, identity).rows)
            work(ready, identity)

    monkeypatch.setattr("pipeline.imports.plan.failpoint", dispatch_again)
    assert work(ready, identity).state is ImportState.PLANNED
    assert steps == [0]


def test_one_connection_does_all_of_an_import(ready: CoreFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    used, most = 0, 0
    begin = Database.begin

    @contextmanager
    def begin_counted(self: Database) -> Iterator[Connection]:
        nonlocal used, most
        used, most = used + 1, max(most, used + 1)
        try:
            with begin(self) as c:
                yield c
        finally:
            used -= 1

    monkeypatch.setattr(Database, "begin", begin_counted)
    monkeypatch.setattr(Database, "read", begin_counted)
    identity = plan_and_begin(ready, 2 * CHUNK + 3)
    assert work(ready, identity).result == {"created": 2 * CHUNK + 3}, "by one message"
    assert len(ready.posts()) == 2 * CHUNK + 3
    control.rollback(ready.context, ready.caller, identity)
    assert work(ready, identity, seconds=1).state in (ImportState.ROLLING_BACK, ImportState.ROLLED_BACK)
    assert most == 1


# --- beside requests -------------------------------------------------------------------------------------------------


@pytest.fixture
def rests(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long slices rest, from now on, in seconds."""
    found: list[float] = []

    def rest(seconds: float) -> None:
        found.append(seconds)
        time.sleep(seconds)

    monkeypatch.setattr(import_slice, "time", SimpleNamespace(monotonic=time.monotonic, sleep=rest))
    return found


def count_transactions(core: CoreFixture, identity: UUID) -> int:
    """Return in how many transactions the posts of an import were stored."""
    with core.context.database.begin() as c:
        [found] = rows(
            c, "SELECT count(DISTINCT xmin::text) AS n FROM posts WHERE import_id = :id", id=identity
        )
    return int(found.n)


def test_alone_an_import_works_in_large_chunks_without_a_rest(ready: CoreFixture, rests: list[float]) -> None:
    begun = plan_and_begin(ready, 2 * CHUNK_BESIDE_REQUESTS)
    assert work(ready, begun).state is ImportState.APPLIED
    assert (count_transactions(ready, begun), rests) == (1, [])


def test_beside_requests_it_works_in_small_chunks_and_rests(ready: CoreFixture, rests: list[float]) -> None:
    begun = plan_and_begin(ready, 2 * CHUNK_BESIDE_REQUESTS)
    ready.accept(caption="Of a request")
    assert work(ready, begun).state is ImportState.APPLIED
    assert count_transactions(ready, begun) >= 2, "more where a chunk took long"
    assert len(rests) >= 2
    assert all(rests)


def test_a_request_of_long_ago_slows_nothing(ready: CoreFixture, rests: list[float]) -> None:
    ready.accept(caption="Of a request")
    database = ready.context.database
    with database.read() as c:
        assert has_requests(c, datetime.now(UTC) - timedelta(minutes=1))
        assert not has_requests(c, datetime.now(UTC) + timedelta(seconds=1))
    assert rests == []
