"""The embedded engines: private, durable, not on the network, and recovered after any kind of end."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from sqlalchemy import create_engine, text

from pipeline.embedded.data_folder import SOCKET_PATH_LIMIT, FolderError, hold_lock, socket_folder
from pipeline.embedded.postgres import Postgres
from pipeline.embedded.process import EngineError, list_session, read_start_id, stop_leftovers, wait_until
from pipeline.embedded.valkey import Valkey

START_BOTH = """
import pathlib, signal, sys
from pipeline.embedded.postgres import Postgres
from pipeline.embedded.valkey import Valkey
folder = pathlib.Path(sys.argv[1])
postgres, valkey = Postgres(folder).start(), Valkey(folder).start()
with postgres.connect("slipway") as connection:
    connection.execute("CREATE TABLE IF NOT EXISTS kept (n int)")
    connection.execute("INSERT INTO kept VALUES (1)")
print(postgres.child.pid, valkey.child.pid, flush=True)
signal.pause()
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="slt-", dir="/tmp"))
    yield made
    stop_leftovers(made, 5)
    shutil.rmtree(made)


def supervisor(folder: Path) -> tuple[subprocess.Popen[str], list[int]]:
    process = subprocess.Popen(
        [sys.executable, "-c", START_BOTH, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": "."},
    )
    assert process.stdout
    with process.stdout:
        return process, [int(word) for word in process.stdout.readline().split()]


def rows(postgres: Postgres) -> int:
    engine = create_engine(postgres.url)
    with engine.connect() as connection:
        found = connection.execute(text("SELECT count(*) FROM kept")).scalar_one()
    engine.dispose()
    return int(found)


def test_engines_are_durable_and_private_and_listen_to_nobody_on_the_network(folder: Path) -> None:
    with Postgres(folder) as postgres, Valkey(folder) as valkey:
        with postgres.connect("slipway") as connection:
            asked = (
                "fsync",
                "synchronous_commit",
                "full_page_writes",
                "timezone",
                "server_encoding",
                "listen_addresses",
            )
            shown = [connection.execute(f"SHOW {name}").fetchone() for name in asked]
            locale = connection.execute("SELECT datlocprovider, datlocale FROM pg_database").fetchone()
        assert shown == [("on",), ("on",), ("on",), ("UTC",), ("UTF8",), ("",)]
        assert locale == ("b", "C.UTF-8")
        with valkey.client() as client:
            names = ("appendonly", "appendfsync", "maxmemory-policy", "port")
            assert [client.config_get(name)[name] for name in names] == ["yes", "everysec", "noeviction", "0"]

        assert postgres.child
        assert valkey.child
        assert psutil.Process(postgres.child.pid).uids().effective != 0
        for child in (postgres.child, valkey.child):
            assert psutil.Process(child.pid).net_connections("inet") == []
        for closed in (folder, folder / "run", folder / "postgres", folder / "valkey", postgres.sockets):
            assert stat.S_IMODE(closed.stat().st_mode) == 0o700, closed


def test_a_stop_leaves_nothing_running_and_the_next_start_finds_the_rows_past_a_stale_lock(
    folder: Path,
) -> None:
    with Postgres(folder) as postgres:
        with postgres.connect("slipway") as connection:
            connection.execute("CREATE TABLE kept (n int)")
            connection.execute("INSERT INTO kept VALUES (1)")
        assert postgres.child
        pid, start_id = postgres.child.pid, read_start_id(postgres.child.pid)
    assert list_session(pid, start_id) == []
    stranger = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    (folder / "postgres" / "postmaster.pid").write_text(f"{stranger.pid}\n{folder}\n1\n5432\n\n\n\nready\n")
    with Postgres(folder) as again:
        assert rows(again) == 1
        assert stranger.poll() is None
    stranger.kill()
    stranger.wait()
    (folder / "postgres" / "PG_VERSION").write_text("9.6\n")
    with pytest.raises(EngineError, match="incompatible"):  # the end of its log
        Postgres(folder).start()


def test_engines_end_with_a_supervisor_that_is_killed_and_survive_that_all_are_killed(folder: Path) -> None:
    for expected in (1, 2):
        process, pids = supervisor(folder)
        births = {pid: read_start_id(pid) for pid in pids}
        for pid in pids if expected == 2 else ():
            os.kill(pid, signal.SIGKILL)
        process.kill()
        process.wait()
        assert wait_until(lambda births=births: all(read_start_id(p) != b for p, b in births.items()), 20)  # type: ignore[misc]
        with Postgres(folder) as postgres, Valkey(folder):
            assert rows(postgres) == expected


def test_a_first_start_that_was_cut_off_starts_over(folder: Path) -> None:
    (folder / "postgres.new").mkdir(parents=True)
    (folder / "postgres.new" / "PG_VERSION").write_text("18\n")
    with Postgres(folder) as postgres, postgres.connect("slipway") as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_sockets_of_a_deep_folder_stand_in_a_short_closed_one(folder: Path) -> None:
    deep = folder / ("x" * 120)
    with Postgres(deep) as postgres, Valkey(deep) as valkey:
        sockets = socket_folder(deep)
        assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
        assert len(str(postgres.sockets / ".s.PGSQL.5432")) <= SOCKET_PATH_LIMIT
        assert valkey.socket.parent == sockets
        assert socket_folder(deep) == sockets
    shutil.rmtree(sockets)
    another = socket_folder(deep)
    assert another != sockets
    shutil.rmtree(another)


def test_a_folder_has_one_supervisor_at_a_time(folder: Path) -> None:
    with hold_lock(folder), pytest.raises(FolderError, match=f"process {os.getpid()}"), hold_lock(folder):
        pass
    with hold_lock(folder):
        pass
