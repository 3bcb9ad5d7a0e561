"""Processes: they log as JSON with --json, and none starts where code and tables do not match."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from config.settings import load
from pipeline.actions.hosts import NotShared, require_shared
from pipeline.store.canaries import record_consumed, record_host
from pipeline.store.database import Database, row
from pipeline.store.schema_version import build_oldest_code_comment
from pipeline.wiring import build_storage
from tests.conftest import free_ports
from tests.pipeline.cli.terminal import Terminal
from tests.stack import until

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    "words", [("api",), ("beat",), ("flower",), ("worker", "upkeep")], ids=lambda w: w[0]
)
def test_the_log_is_json(module_environment: dict[str, str], words: tuple[str, ...]) -> None:
    api, flower = map(str, free_ports(2))
    more = {
        "SLIPWAY_API__PORT": api,
        "SLIPWAY_FLOWER__PORT": flower,
        "SLIPWAY_FLOWER__PASSWORD": "a long enough one",
        "PYTHONWARNINGS": "ignore",  # Celery warns of root before it logs anything
    }
    if words == ("beat",):  # which logs nothing while all is well
        more["SLIPWAY_BROKER__URL"] = "redis://127.0.0.1:1/0"
    first = read_start({**module_environment, **more}, *words, "--json")
    assert {"at", "level", "logger", "message"} <= json.loads(first.partition("\n")[0]).keys()


def test_the_sandbox_prints_its_addresses(module_environment: dict[str, str]) -> None:
    there, media = (f"http://127.0.0.1:{port}" for port in free_ports(2))
    more = {
        "SLIPWAY_SANDBOX__URL": there,
        "SLIPWAY_SANDBOX__MEDIA_URL": media,
        "SLIPWAY_SANDBOX__CONTROL_TOKEN": "0123456789abcdef" * 2,
    }
    printed = read_start({**module_environment, **more}, "sandbox", "serve", "--json", until="}")
    assert json.loads(printed) == {"url": there, "media_url": media}


def read_start(environment: dict[str, str], *words: str, until: str = "") -> str:
    """Start a command, and stop it once it has printed a line that begins so; return what it printed until then."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline.cli", *words],
        env=environment,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    printed = ""
    try:
        for line in process.stdout:
            printed += line
            if line.startswith(until):
                break
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    return printed


STARTED = (("api",), ("worker", "upkeep"), ("workspace", "list"), ("delivery", "list"))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("UPDATE alembic_version SET version_num = 's0000'", "run `slipway migrate`"),
        (build_oldest_code_comment("s9999"), "need code of s9999 or later: start the newer version"),
        ("DROP TABLE alembic_version", "has no tables yet: run `slipway migrate`"),
    ],
)
def test_what_does_not_fit_does_not_start(
    terminal: Terminal, database_url: str, change: str, sentence: str
) -> None:
    with execute(database_url) as c:
        c.exec_driver_sql(change)
    for command in STARTED:
        assert sentence in terminal.refusal(*command, SLIPWAY_STORE__URL=database_url), command


STOPPED = """UPDATE canaries SET hosts = (SELECT jsonb_object_agg(
    key, value || jsonb_build_object('at', now() - interval '1 minute')) FROM jsonb_each(hosts)) RETURNING queue"""


def report(c: sa.Connection, host: str, **facts: str) -> None:
    record_consumed(c, ["imports"])
    record_host(c, ["imports"], host, facts)


def test_a_host_that_does_not_see_what_the_others_share_does_not_start(
    terminal: Terminal, database_url: str, tmp_path: Path
) -> None:
    own = {"SLIPWAY_STORE__URL": database_url, "SLIPWAY_FILES__FOLDER": str(tmp_path / "files")}
    with execute(database_url) as c:
        report(c, "shore", files="0f", epoch="1e")
    for command in (("api",), ("worker", "upkeep")):
        refusal = terminal.refusal(*command, **own)
        for what in (
            "FILES__FOLDER: this host sees another store of uploaded files",
            "MARK__FOLDER: this host",
        ):
            assert f"SLIPWAY_{what}" in refusal, command
        assert "than shore, or none. Set it as there" in refusal


def test_a_host_is_compared_with_others_that_run(database_url: str, tmp_path: Path) -> None:
    s = load({"SLIPWAY_STORE__URL": database_url, "SLIPWAY_FOLDER": str(tmp_path)})
    s.files_folder.mkdir()
    seen = build_storage(s).identify()
    assert seen
    with execute(database_url) as c:
        report(c, socket.gethostname(), files="moved")
        require_shared(c, s, build_storage)
        for host, files in (("shore", seen), ("pier", "0f"), ("quay", seen)):
            report(c, host, files=files)
        require_shared(c, s, build_storage)
        report(c, "quay", files="0f")
        with pytest.raises(NotShared, match="than pier, quay, or none"):
            require_shared(c, s, build_storage)
        row(c, STOPPED)
        require_shared(c, s, build_storage)


OTHER = "UPDATE alembic_version SET version_num = '0045'"


def test_a_database_of_another_schema_is_refused_by_every_start(
    terminal: Terminal, database_url: str
) -> None:
    with execute(database_url) as c:
        c.exec_driver_sql(OTHER)
        folder = c.exec_driver_sql("SELECT current_setting('slipway.folder')").scalar()
        name = c.exec_driver_sql("SELECT current_database()").scalar()
    for command in (*STARTED, ("migrate",)):
        refusal = terminal.refusal(*command, SLIPWAY_STORE__URL=database_url)
        assert "made by another commit of Slipway, with other tables" in refusal, command
        assert "run `slipway post export` with the code that made it" in refusal, command
        assert f"remove the data folder {folder} (move settings.env out first" in refusal, command
    with execute(database_url) as c:
        c.exec_driver_sql(f"ALTER DATABASE {name} SET slipway.folder = ''")
    refusal = terminal.refusal("migrate", SLIPWAY_STORE__URL=database_url)
    assert f"drop the database '{name}' and create it again, empty" in refusal, "of an external server"
    assert "folder" not in refusal


@contextmanager
def execute(url: str) -> Iterator[sa.Connection]:
    database = Database(url)
    with database.begin() as c:
        yield c
    database.close()


def test_newer_tables_that_still_serve_this_code_are_fine(terminal: Terminal, database_url: str) -> None:
    with execute(database_url) as c:
        c.exec_driver_sql(build_oldest_code_comment("s0001"))
        c.exec_driver_sql("UPDATE alembic_version SET version_num = 's9999'")
    assert terminal.json("workspace list", SLIPWAY_STORE__URL=database_url) == []


def test_a_part_starts_without_a_database(environment: dict[str, str], tmp_path: Path) -> None:
    away = {"SLIPWAY_STORE__URL": f"postgresql+psycopg://slipway@/slipway?host={tmp_path}"}
    log_file = tmp_path / "log_file"
    with log_file.open("wb") as log:
        worker = subprocess.Popen(
            [sys.executable, "-m", "pipeline.cli", "worker", "upkeep"],
            env={**environment, **away},
            cwd=Path(__file__).parents[3],
            stdout=log,
            stderr=log,
        )
    try:
        until(lambda: " ready" in log_file.read_text(), 60)
        assert "starting without it" in log_file.read_text()
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(60) == 0
    finally:
        worker.kill()
        worker.wait()
