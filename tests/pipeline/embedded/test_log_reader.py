"""What `slipway up` shows of its services' logs: problems, and no line that only names a logger of errors."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from config.logging import Json, Text
from pipeline.embedded.process import LogReader


def write(log: Path, formatter: logging.Formatter, name: str, level: int, text: str) -> None:
    record = logging.LogRecord(name, level, "", 0, text, None, None)
    with log.open("a") as file:
        file.write(f"{formatter.format(record)}\n")


@pytest.mark.parametrize("formatter", [Text(), Json()], ids=["text", "json"])
def test_it_shows_what_a_server_reports_as_an_error_and_not_that_it_has_started(
    tmp_path: Path, formatter: logging.Formatter
) -> None:
    log = tmp_path / "api.log"
    reader = LogReader(log)
    for level, text in (
        (logging.INFO, "Application startup complete."),
        (logging.ERROR, "Exception in ASGI application"),
        (logging.INFO, "Uvicorn running on http://127.0.0.1:8000"),
        (logging.WARNING, "Invalid HTTP request received."),
    ):
        write(log, formatter, "uvicorn.error", level, text)
    shown = [*reader.read_lines()]
    assert ["ASGI" in line or "Invalid HTTP" in line for line in shown] == [True, True], shown


@pytest.mark.parametrize(
    "line",
    [
        "Traceback (most recent call last):",
        "2026-12-01 10:00:00 UTC [1] FATAL:  the database system is starting up",
        "error: cannot listen",
    ],
)
def test_it_shows_the_problems_of_other_programs(tmp_path: Path, line: str) -> None:
    log = tmp_path / "beat.log"
    reader = LogReader(log)
    log.write_text(f"ready\n{line}\n")
    assert [*reader.read_lines()] == [line]
