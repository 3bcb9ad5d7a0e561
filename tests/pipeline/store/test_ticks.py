"""Ticks in the database: one claim an interval, whoever asks, and a lease that expires by itself."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from pipeline.store.database import Database, row, rows
from pipeline.store.ticks import Claim, claim_due, finish

LEASE = timedelta(seconds=60)
MINUTE = timedelta(minutes=1)
NAMES = ["a", "b", "c"]


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database(database_url)
    yield opened
    opened.close()


def claim(database: Database, names: list[str] = NAMES, lease: timedelta = LEASE) -> Claim:
    with database.once() as c:
        return claim_due(c, names, lease)


def change(database: Database, assignment: str) -> None:
    with database.begin() as c:
        rows(c, f"UPDATE ticks SET {assignment} RETURNING name")  # noqa: S608 - the tests' own words


def read(database: Database, what: str) -> Any:
    with database.once() as c:
        found = row(c, f"SELECT {what} AS value FROM ticks WHERE name = 'a'")  # noqa: S608
    assert found is not None
    return found.value


def test_a_missing_row_is_made_and_is_due_at_once(database: Database) -> None:
    assert claim(database).names == []
    assert claim(database).names == NAMES
    assert claim(database, [*NAMES, "d"]).names == []
    assert claim(database, [*NAMES, "d"]).names == ["d"]


def test_a_leased_tick_is_passed_over_until_its_lease_has_expired(database: Database) -> None:
    claim(database)
    assert claim(database).names == NAMES
    second = claim(database)
    assert second.names == []
    assert second.wait is not None
    assert timedelta(0) < second.wait <= LEASE
    change(database, "leased_until = now()")
    assert claim(database).names == NAMES, "its holder never finished"


def test_a_finished_tick_is_due_at_the_next_multiple_of_its_interval(database: Database) -> None:
    claim(database)
    claim(database)
    with database.once() as c:
        finish(c, dict.fromkeys(NAMES, MINUTE))
    assert read(
        database, "next_at = date_trunc('minute', next_at) AND next_at - now() <= interval '1 minute'"
    )
    assert read(database, "leased_until <= now()")
    wait = claim(database).wait
    assert wait is not None
    assert wait <= MINUTE


def test_a_holder_that_was_passed_over_finishes_without_harm(database: Database) -> None:
    claim(database)
    claim(database)
    for _ in range(2):
        with database.once() as c:
            finish(c, dict.fromkeys(NAMES, MINUTE))
    assert read(database, "next_at - now() <= interval '1 minute'"), "two of them move it once"


def test_what_was_missed_during_an_outage_is_sent_once(database: Database) -> None:
    claim(database)
    change(database, "next_at = now() - interval '1 day'")
    assert claim(database).names == NAMES
    with database.once() as c:
        finish(c, dict.fromkeys(NAMES, MINUTE))
    assert claim(database).names == []


def test_of_many_that_ask_at_once_one_gets_each_tick(database: Database) -> None:
    claim(database)
    for _ in range(20):
        with ThreadPoolExecutor(8) as threads:
            claims = list(threads.map(lambda _: claim(database), range(8)))
        assert sorted(name for one in claims for name in one.names) == NAMES
        change(database, "leased_until = now() - interval '1 second'")


def test_many_that_make_the_rows_and_finish_at_once_do_not_deadlock(database: Database) -> None:
    names = [f"tick {n}" for n in range(30)]

    def work(n: int) -> None:
        claim(database, names if n % 2 else names[::-1], timedelta(0))
        with database.once() as c:
            finish(c, dict.fromkeys(names if n % 2 else names[::-1], timedelta(seconds=0.01)))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(80)))
    with database.once() as c:
        assert len(rows(c, "SELECT name FROM ticks")) == len(names)


def test_only_the_ticks_that_are_named_are_claimed_and_finished(database: Database) -> None:
    claim(database)
    before = stored(database)
    assert claim(database, ["a"]).names == ["a"]
    wait = claim(database, ["a"]).wait
    assert wait is not None
    assert wait > timedelta(0), "another one is due now"
    with database.once() as c:
        finish(c, {"a": MINUTE})
    after = stored(database)
    assert {name for name in NAMES if after[name] != before[name]} == {"a"}
    assert claim(database, ["b"]).names == ["b"]


def stored(database: Database) -> dict[str, Any]:
    with database.once() as c:
        return {r.name: (r.next_at, r.leased_until) for r in rows(c, "SELECT * FROM ticks")}
