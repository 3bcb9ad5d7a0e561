"""The drill of point-in-time recovery: a host is lost in the middle of writing; a mistake is undone by its moment."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests
from psycopg.conninfo import make_conninfo

from pipeline.store.database import Database
from pipeline.store.recovery.log_slot import read_slot
from tests.pipeline.embedded.stack import Place, Running, command, place_in, up
from tests.waiting import until

COMMITS = 300


@pytest.fixture
def place() -> Iterator[Place]:
    """A place with a blank in its path, that archives to a folder beside its own."""
    with place_in("data of a host") as made:
        made.environment["SLIPWAY_STORE__ARCHIVE"] = str(made.folder / "other disk")
        yield made


def run(place: Place, *words: str) -> Any:
    ended = command(place, *words, "--json")
    out, err = ended.communicate(timeout=600)
    assert ended.returncode == 0, err
    return json.loads(out)


def connect(place: Place) -> psycopg.Connection:
    """Connect to the database of the running stack."""
    sockets = read_url(place).split("host=")[1].replace("%20", " ")
    return psycopg.connect(make_conninfo(host=sockets, user="slipway", dbname="slipway"), autocommit=True)


def read_url(place: Place) -> str:
    file = Path(place.environment["SLIPWAY_FOLDER"]) / "run" / "settings.env"
    [line] = [one for one in file.read_text().splitlines() if one.startswith("SLIPWAY_STORE__URL=")]
    return line.partition("=")[2].strip("'\"")


def create_post(running: Running) -> str:
    """Create a post that is due in an hour."""
    answer = requests.post(
        f"{running.summary['api']}/api/partner/v1/posts",
        json={
            "caption": "Our new mug",
            "media": {"type": "text"},
            "accounts": [{"id": running.summary["accounts"]["facebook"]}],
            "scheduled_at": (datetime.now(UTC) + timedelta(hours=1)).isoformat(),
        },
        headers={"Authorization": f"Bearer {running.summary['key']}"},
        timeout=60,
    )
    assert answer.status_code == 201, answer.text
    return str(answer.json()["data"]["id"])


def commit(connection: psycopg.Connection, first: int, until_: int) -> datetime:
    """Commit these rows one by one; return when the last one was committed."""
    for n in range(first, until_):
        connection.execute("INSERT INTO drill (n) VALUES (%s)", [n])
    return datetime.now(UTC)


def await_archive(place: Place) -> None:
    database = Database(read_url(place), pool=1)

    def is_archived() -> bool:
        with database.once() as c:
            slot = read_slot(c)
        return slot.is_active and slot.behind == 0

    until(is_archived, 60)
    database.close()


def lose_host(place: Place, running: Running) -> None:
    """Kill everything at once, the archive first: nothing is flushed by a stop in order."""
    for pid in (running.pid_of("archive"), running.pid_of("postgres"), running.process.pid):
        os.kill(pid, signal.SIGKILL)
    running.process.wait(60)
    lose_database(place, "lost")


def lose_database(place: Place, name: str) -> None:
    folder = Path(place.environment["SLIPWAY_FOLDER"])
    (folder / "postgres").rename(folder / name)


def read_all(place: Place, sql: str, *values: object) -> list[Any]:
    with connect(place) as connection:
        return connection.execute(sql.encode(), values).fetchall()


def test_a_lost_host_is_restored_to_the_end_of_its_log_and_to_a_moment_before_a_mistake(place: Place) -> None:
    with up(place) as running:
        base = run(place, "archive", "base")["base"]
        post = create_post(running)
        with connect(place) as connection:
            connection.execute("CREATE TABLE drill (n int, at timestamptz DEFAULT clock_timestamp())")
            moment = connection.execute("SELECT clock_timestamp()").fetchone()
            assert moment is not None
            connection.execute("DELETE FROM deliveries WHERE post_id = %s", [post])
            commit(connection, 0, COMMITS)
            await_archive(place)
            last = commit(connection, COMMITS, 2 * COMMITS)
            lose_host(place, running)

    start = time.monotonic()
    restored = run(place, "archive", "restore")
    assert restored["from"] == base
    print(f"\n{time.monotonic() - start:7.2f} s  restore to the end of the log")
    with up(place) as running:
        assert requests.get(f"{running.summary['api']}/readyz", timeout=60).status_code == 503, (
            "nothing is sent before `accept`"
        )
        rows = read_all(place, "SELECT n, at FROM drill ORDER BY n")
        assert [row[0] for row in rows] == [*range(len(rows))]
        assert len(rows) >= COMMITS, "all that was archived is there"
        print(f"{(last - rows[-1][1]).total_seconds():7.2f} s  lost")
        assert read_all(place, "SELECT 1 FROM deliveries WHERE post_id = %s", post) == []
        assert run(place, "restore", "status")["state"] == "in doubt"
        [listed] = run(place, "archive", "list")
        assert (listed["base"], listed["run"]) == (base, "has ended")

    lose_database(place, "mistaken")
    restored = run(place, "archive", "restore", "--at", moment[0].isoformat())
    assert datetime.fromisoformat(restored["restored"]) <= moment[0]
    with up(place) as running:
        assert read_all(place, "SELECT n FROM drill") == []
        [view] = read_all(place, "SELECT state FROM deliveries WHERE post_id = %s", post)
        assert view == ("scheduled",)
        run(place, "restore", "accept")
        until(lambda: requests.get(f"{running.summary['api']}/readyz", timeout=60).ok, 60)
        second = run(place, "archive", "base", "--keep", "1")
        assert second["removed"] == []
        third = run(place, "archive", "base", "--keep", "1")
        assert third["removed"] == [Path(second["base"]).name]
