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


def test_postgres_is_durable_in_utc_and_orders_texts_alike_everywhere(folder: Path) -> None:
    with Postgres(folder) as postgres, postgres.connect("slipway") as connection:
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


def test_valkey_keeps_a_log_and_never_evicts(folder: Path) -> None:
    with Valkey(folder) as valkey:
        client = valkey.client()
        kept = {
            name: client.config_get(name)[name]
            for name in ("appendonly", "appendfsync", "maxmemory-policy", "port")
        }
        client.close()
    assert kept == {
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
        "port": "0",
    }


def test_nothing_listens_on_the_network_and_nobody_else_can_reach_the_sockets(folder: Path) -> None:
    with Postgres(folder) as postgres, Valkey(folder) as valkey:
        assert postgres.child
        assert valkey.child
        for child in (postgres.child, valkey.child):
            assert psutil.Process(child.pid).net_connections("inet") == []
        for closed in (folder, folder / "run", folder / "postgres", folder / "valkey", postgres.sockets):
            assert stat.S_IMODE(closed.stat().st_mode) == 0o700, closed


def test_postgres_never_runs_as_root(folder: Path) -> None:
    with Postgres(folder) as postgres:
        assert postgres.child
        assert psutil.Process(postgres.child.pid).uids().effective != 0


def test_a_stop_leaves_nothing_running_and_the_next_start_finds_the_rows(folder: Path) -> None:
    with Postgres(folder) as postgres:
        with postgres.connect("slipway") as connection:
            connection.execute("CREATE TABLE kept (n int)")
            connection.execute("INSERT INTO kept VALUES (1)")
        assert postgres.child
        pid, start_id = postgres.child.pid, read_start_id(postgres.child.pid)
    assert list_session(pid, start_id) == []
    with Postgres(folder) as again:
        assert rows(again) == 1


def test_engines_end_by_themselves_when_their_supervisor_is_killed(folder: Path) -> None:
    process, pids = supervisor(folder)
    births = {pid: read_start_id(pid) for pid in pids}
    process.kill()
    process.wait()
    assert wait_until(lambda: all(read_start_id(pid) != start_id for pid, start_id in births.items()), 20)
    with Postgres(folder) as postgres, Valkey(folder):
        assert rows(postgres) == 1


def test_everything_killed_at_once_is_survived_by_the_next_start(folder: Path) -> None:
    for expected in (1, 2):
        process, pids = supervisor(folder)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        process.kill()
        process.wait()
        with Postgres(folder) as postgres, Valkey(folder):
            assert rows(postgres) == expected


def test_a_stale_lock_that_names_a_living_stranger_does_not_stop_postgres(folder: Path) -> None:
    with Postgres(folder):
        pass
    stranger = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    (folder / "postgres" / "postmaster.pid").write_text(f"{stranger.pid}\n{folder}\n1\n5432\n\n\n\nready\n")
    with Postgres(folder):
        assert stranger.poll() is None
    stranger.kill()
    stranger.wait()


def test_a_first_start_that_was_cut_off_starts_over(folder: Path) -> None:
    (folder / "postgres.new").mkdir(parents=True)
    (folder / "postgres.new" / "PG_VERSION").write_text("18\n")
    with Postgres(folder) as postgres, postgres.connect("slipway") as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_server_that_cannot_start_is_an_error_with_the_end_of_its_log(folder: Path) -> None:
    with Postgres(folder):
        pass
    (folder / "postgres" / "PG_VERSION").write_text("9.6\n")
    with pytest.raises(EngineError, match="incompatible"):
        Postgres(folder).start()


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
