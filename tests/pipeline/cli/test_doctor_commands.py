"""Each command that `slipway doctor` suggests, typed into a shell, removes its finding."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from config.settings import Settings, load
from pipeline.actions.diagnose import Finding, diagnose
from pipeline.actions.hosts import describe_worker, list_agreeing, look_at_shared
from pipeline.broker.queues import WORKER_GROUPS
from pipeline.domain.delivery import State
from pipeline.domain.level import LEVEL
from pipeline.runtime.context import Context
from pipeline.runtime.epoch_file import EpochFile
from pipeline.runtime.send_guard import SendGuard
from pipeline.store.canaries import list_hosts, record_consumed, record_host
from pipeline.store.database import Database, row
from pipeline.store.vault import Vault
from pipeline.wiring import build_context
from pipeline.worker.liveness import REPORT_EVERY
from tests.backups import back_up_rows, restore_rows
from tests.pipeline.store.ledger import HOUR, Ledger
from tests.stack import until

Type = Callable[[str], subprocess.Popen[bytes]]
AGE = """UPDATE canaries SET taken_at = now() - interval '1 minute', hosts = (
             SELECT jsonb_object_agg(key, value || jsonb_build_object('at', now() - interval '1 minute'))
             FROM jsonb_each(hosts)) RETURNING queue"""
"""What a minute without a worker leaves."""


@pytest.fixture
def context(environment: dict[str, str], ledger: Ledger) -> Iterator[Context]:
    """A context on a database of this test."""
    made = build_context(load(environment), keeps_epoch_file=False)
    yield made
    made.database.close()


@pytest.fixture
def ledger(environment: dict[str, str], vault_key: str) -> Iterator[Ledger]:
    """The same database."""
    made = Ledger(environment["SLIPWAY_STORE__URL"], Vault(vault_key), pool=2)
    yield made
    made.database.close()


@pytest.fixture
def type_command(environment: dict[str, str], tmp_path: Path) -> Iterator[Type]:
    """Type a command into a shell; what goes on is ended after the test."""
    started: list[subprocess.Popen[bytes]] = []
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"

    def typing(command: str) -> subprocess.Popen[bytes]:
        with (tmp_path / "typed.log").open("ab") as log:
            process = subprocess.Popen(
                ["/bin/sh", "-c", f"exec env {command}"],
                env={**environment, "PATH": path},
                stdout=log,
                stderr=log,
                cwd=tmp_path,
            )
        started.append(process)
        return process

    yield typing
    for process in started:
        process.kill()
        process.wait()


def list_wrong(context: Context, *parts: str) -> list[Finding]:
    return [one for one in diagnose(context) if one.part in parts and one.result != "ok"]


def require_command(found: list[Finding]) -> str:
    """Return the command of the only finding."""
    [one] = found
    assert one.command is not None
    return one.command


def test_a_worker_that_was_killed_or_frozen_and_a_queue_without_one(
    context: Context, type_command: Type
) -> None:
    stopped = type_command("slipway worker upkeep --queues imports")
    with context.database.begin() as c:
        record_consumed(c, ["imports"])
    until(lambda: _list_hosts(context) != [], 60)
    with context.database.begin() as c:
        record_consumed(c, ["imports"])  # again: on a busy machine its start takes longer than a silence
    assert list_wrong(context, "queues", "hosts") == []
    stopped.kill()
    stopped.wait()
    with context.database.begin() as c:
        row(c, AGE)
    queue, host = list_wrong(context, "queues", "hosts")
    assert queue.says.startswith("No worker has taken a message from imports since ")
    assert host.says.startswith(f"The worker upkeep on {os.uname().nodename} has given no sign of life for 6")
    assert (queue.result, host.result) == ("fail", "warn")
    assert queue.command == "slipway worker upkeep --queues imports"
    again = type_command(queue.command)
    until(lambda: list_wrong(context, "queues", "hosts") == [], 60)
    again.send_signal(signal.SIGTERM)
    again.wait(60)
    assert _list_hosts(context) == [], "one that ends by itself says so"


def test_a_stopped_worker_is_named_within_a_minute() -> None:
    assert Settings().worker.silent + REPORT_EVERY < 60


def _list_hosts(context: Context) -> list[str]:
    with context.database.begin() as c:
        return [host.queue for host in list_hosts(c)]


def test_posts_that_wait_for_a_newer_worker_and_an_epoch_that_is_not_begun(
    context: Context, ledger: Ledger, type_command: Type
) -> None:
    post = ledger.post([ledger.account(ledger.workspace())], State.SCHEDULED, due=HOUR)
    ledger.change(post.deliveries[0], f"level = {LEVEL}")
    with context.database.begin() as c:
        record_consumed(c, WORKER_GROUPS["publish"], LEVEL - 1)
    epoch, level = list_wrong(context, "epoch", "workers")
    assert (epoch.command, level.command) == ("slipway worker publish", "slipway worker publish")
    type_command(require_command([level]))
    until(lambda: list_wrong(context, "epoch", "workers") == [], 60)


@pytest.mark.parametrize(
    ("fact", "wrong", "setting"),
    [
        ("files", "sees another store of uploaded files", "SLIPWAY_FILES__FOLDER"),
        ("epoch", "sees another epoch file, or none", "SLIPWAY_MARK__FOLDER"),
    ],
)
def test_a_host_with_another_store_of_files_or_another_epoch_file(
    context: Context, type_command: Type, fact: str, wrong: str, setting: str
) -> None:
    s, here = context.settings, os.uname().nodename
    s.files_folder.mkdir(parents=True)
    assert SendGuard(context.database, EpochFile(s.mark_folder), HOUR).may_send()
    seen = look_at_shared(s, context.files.storage, EpochFile(s.mark_folder))
    with context.database.begin() as c:
        record_consumed(c, WORKER_GROUPS["reachability"])
        record_host(c, WORKER_GROUPS["reachability"], here, {**seen, fact: "0f"})
    [found] = list_wrong(context, "hosts")
    assert found.result == "fail"
    assert found.says.startswith(f"The worker reachability on {here} {wrong}")
    folder = s.files_folder if fact == "files" else s.mark_folder
    mend = f"{setting}={shlex.quote(str(folder.absolute()))} slipway worker reachability"
    assert found.command == mend
    type_command(mend)
    until(lambda: list_wrong(context, "hosts") == [], 60)


def report(context: Context, host: str, **changed: object) -> None:
    """Record what an `upkeep` worker of that host reports, with some of it changed."""
    own = {"files": None, **describe_worker(context.settings), "clock": datetime.now(UTC).isoformat()}
    with context.database.begin() as c:
        record_consumed(c, ["imports"])
        record_host(c, ["imports"], host, own | changed)


def test_hosts_whose_versions_or_clocks_differ(context: Context) -> None:
    report(context, "shore")
    report(context, "reef")
    assert list_wrong(context, "hosts") == []
    report(context, "reef", level=LEVEL - 1, version="0.0.9")
    report(context, "shoal", clock=(datetime.now(UTC) - timedelta(minutes=2)).isoformat())
    skew, older = sorted(list_wrong(context, "hosts"), key=lambda one: one.says)
    assert (older.result, skew.result) == ("warn", "fail")
    assert f"upkeep on reef runs version 0.0.9, level {LEVEL - 1} of {LEVEL}" in older.says
    assert re.match(
        r"The clock of shoal and that of the database differ by 1[12]\d\.\d s: more than 2 s", skew.says
    )


def test_a_worker_with_other_settings_than_the_rest(context: Context, type_command: Type) -> None:
    """Typed there, the command of the finding removes it."""
    setting, here = "SLIPWAY_PUBLISH__LEASE", os.uname().nodename
    report(context, "shore")
    report(context, "reef")
    assert not any("SECRET" in name for name in list_agreeing(context.settings))
    other = type_command(f"{setting}=200 slipway worker upkeep")
    until(lambda: any(setting in one.says for one in list_wrong(context, "hosts")), 60)
    [found] = [one for one in list_wrong(context, "hosts") if setting in one.says]
    assert found.says.startswith(f"The worker upkeep on {here} has {setting}=200.0, and others have 180.")
    assert (found.result, found.command) == ("fail", f"{setting}=180 slipway worker upkeep")
    other.send_signal(signal.SIGTERM)
    other.wait(60)
    type_command(require_command([found]))
    until(lambda: here in _list_host_names(context), 60)
    # its first report may be older than the epoch file, which another thread of it writes
    until(lambda: list_wrong(context, "hosts") == [], 60)


def _list_host_names(context: Context) -> set[str]:
    with context.database.begin() as c:
        return {host.name for host in list_hosts(c)}


def test_a_restore_that_is_not_accepted(context: Context, type_command: Type) -> None:
    database, guard = context.database, EpochFile(context.settings.mark_folder)
    SendGuard(database, guard, HOUR).may_send()
    back_up_rows(database)
    restore_rows(database)
    SendGuard(database, guard, HOUR).may_send()
    command = require_command(list_wrong(context, "epoch"))
    assert command == "slipway restore accept"
    assert type_command(command).wait(60) == 0
    assert list_wrong(context, "epoch") == []


def test_a_database_without_tables(environment: dict[str, str], type_command: Type) -> None:
    database = Database(environment["SLIPWAY_STORE__URL"], pool=1)
    with database.begin() as c:
        c.exec_driver_sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    database.close()
    context = build_context(load(environment), keeps_epoch_file=False)
    command = require_command(list_wrong(context, "tables"))
    assert command == "slipway migrate"
    assert type_command(command).wait(120) == 0
    assert list_wrong(context, "tables") == []
    context.database.close()
