"""Imports on a slow database, or whose worker dies: nothing else waits for them, and they go on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import psutil
import requests

from pipeline.broker.queues import IMPORTS, UPKEEP, WEBHOOKS
from pipeline.store.database import row, rows
from tests.flow.ledger import caption, slideshow
from tests.pipeline.api.imports.importing import LATER, write_lines
from tests.stack import Stack, until

SLEEPER = """
CREATE OR REPLACE FUNCTION sleep_long() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN PERFORM pg_sleep(120); RETURN NEW; END $$;
CREATE OR REPLACE TRIGGER sleeps BEFORE INSERT ON import_rows FOR EACH ROW
WHEN (NEW.body ->> 'caption' LIKE 'sleepy%') EXECUTE FUNCTION sleep_long()
"""
ASLEEP = """SELECT pid, xact_start FROM pg_stat_activity
            WHERE datname = current_database() AND state = 'active' AND wait_event = 'PgSleep'"""
IMPORTING = """SELECT count(*) AS n FROM pg_stat_activity
               WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'
                 AND (query LIKE '%import_rows%' OR query LIKE '%imports%')"""
RECEIPTED = """SELECT count(*) AS n FROM receipts r JOIN moves m ON m.id = r.move_id
               JOIN deliveries d ON d.id = m.delivery_id
               WHERE d.post_id = CAST(:p AS uuid) AND m.target = 'published'"""


@contextmanager
def sleeping(stack: Stack) -> Iterator[None]:
    """Let the database sleep for two minutes in each chunk that has a row whose caption begins with `sleepy`."""
    with stack.context.database.begin() as c:
        c.exec_driver_sql(SLEEPER.replace("%", "%%"))
    try:
        yield
    finally:
        with stack.context.database.begin() as c:
            c.exec_driver_sql("DROP TRIGGER sleeps ON import_rows")


def upload(stack: Stack, text: str, count: int = 1) -> str:
    body = {
        "media": slideshow(stack),
        "accounts": [{"id": str(stack.accounts["tiktok"])}],
        "scheduled_at": LATER,
    }
    answer = requests.post(
        f"{stack.api}/api/partner/v1/imports",
        data=write_lines(*({"caption": f"{text} {n}", **body} for n in range(count))),
        timeout=30,
        headers={"Authorization": f"Bearer {stack.key}", "Content-Type": "application/x-ndjson"},
    )
    assert answer.status_code < 300, answer.text
    return str(answer.json()["data"]["id"])


def read_state(stack: Stack, identity: str) -> str:
    with stack.context.database.read() as c:
        found = row(c, "SELECT state FROM imports WHERE id = :id", id=UUID(identity))
    assert found is not None
    return str(found.state)


def await_state(stack: Stack, identity: str, state: str) -> None:
    until(lambda: read_state(stack, identity) == state, 60, lambda: read_state(stack, identity))


def count(stack: Stack, sql: str, **values: object) -> int:
    with stack.context.database.read() as c:
        found = row(c, sql, **values)
    return int(found.n) if found else 0


def find_sleeping(stack: Stack) -> set[object]:
    with stack.context.database.read() as c:
        return {r.xact_start for r in rows(c, ASLEEP)}


def test_a_chunk_that_sleeps_for_two_minutes_delays_nothing_else(stack: Stack) -> None:
    with sleeping(stack):
        slow = upload(stack, "sleepy")
        tries = until(lambda: find_sleeping(stack), 60)
        with stack.context.database.begin() as c:
            began = rows(c, "SELECT clock_timestamp() AS now")[0].now
        text = caption()
        post, other = stack.create_post(text, "tiktok", media=slideshow(stack)), upload(stack, "awake")
        most, at_once = 0, 0

        def is_tried_again() -> bool:
            nonlocal most, at_once, tries
            found = find_sleeping(stack)
            at_once, most = max(at_once, len(found)), max(most, count(stack, IMPORTING))
            tries |= found
            return len(tries) >= 3

        until(is_tried_again, 90, lambda: f"only {len(tries)} tries")
        assert (at_once, read_state(stack, slow)) == (1, "reading"), (
            "one connection, and the import has not failed"
        )
        assert most <= 2, "the other import may have one as well"
        stack.await_status(post, "posted", 60)
        await_state(stack, other, "planned")
        until(lambda: count(stack, RECEIPTED, p=post), 60)
        until(
            lambda: (
                count(
                    stack,
                    "SELECT count(*) AS n FROM canaries WHERE queue = ANY (:queues) AND taken_at > :began",
                    queues=[IMPORTS, UPKEEP, WEBHOOKS],
                    began=began,
                )
                == 3
            ),
            60,
        )
    await_state(stack, slow, "planned")


def test_the_import_of_a_killed_worker_goes_on(stack: Stack) -> None:
    with sleeping(stack):
        identity = upload(stack, "sleepy")
        until(lambda: find_sleeping(stack), 60)
        stack.kill("upkeep")
    stack.start_worker("upkeep")
    await_state(stack, identity, "planned")


def test_a_workers_memory_after_ten_imports_is_as_after_the_first(stack: Stack) -> None:
    """`bulk` of tests/bench measures it with files of 20,000 rows."""
    worker, found = psutil.Process(stack.parts["upkeep"].pid), []
    for n in range(10):
        await_state(stack, upload(stack, f"file {n}", 500), "planned")
        found.append(worker.memory_info().rss)
    assert max(found) - found[0] < 20e6
