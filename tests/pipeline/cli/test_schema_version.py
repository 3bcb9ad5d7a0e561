"""Code and tables that do not match: no process starts, no command runs, and the error names the next step."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.store.database import Database
from pipeline.store.schema_version import build_oldest_code_comment
from tests.pipeline.cli.terminal import Terminal
from tests.stack import until

COMMANDS = (("api",), ("worker", "upkeep"), ("workspace", "list"), ("delivery", "list"))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("UPDATE alembic_version SET version_num = '0001'", "run `slipway migrate`"),
        (build_oldest_code_comment("9999"), "need code of 9999 or later: start the newer version"),
        ("DROP TABLE alembic_version", "has no tables yet: run `slipway migrate`"),
    ],
)
def test_what_does_not_fit_does_not_start(
    terminal: Terminal, database_url: str, change: str, sentence: str
) -> None:
    database = Database(database_url)
    with database.begin() as c:
        c.exec_driver_sql(change)
    database.close()
    for command in COMMANDS:
        assert sentence in terminal.refusal(*command, SLIPWAY_STORE__URL=database_url), command


def test_newer_tables_that_still_serve_this_code_are_fine(terminal: Terminal, database_url: str) -> None:
    database = Database(database_url)
    with database.begin() as c:
        c.exec_driver_sql(build_oldest_code_comment("0001"))
        c.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    assert terminal.json("workspace", "list", SLIPWAY_STORE__URL=database_url) == []


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
