"""Forked programs: what they need is imported before, and they behave as programs that were started by exec."""

from __future__ import annotations

import os
import signal
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.forked_program import PRELOADED, start_program


def test_what_is_imported_before_exists() -> None:
    """multiprocessing passes over a module that it cannot import, and every program would import it itself."""
    assert [name for name in PRELOADED if not find_spec(name)] == []


def test_a_program_has_an_environment_a_log_and_an_exit_status(tmp_path: Path) -> None:
    log = tmp_path / "log"
    program = start_program("json.tool", "--help", environment={"COLUMNS": "80"}, log=log)
    assert program.wait(60) == 0
    assert "usage: " in log.read_text()
    assert program.poll() == 0


def test_a_program_has_a_session_and_says_that_it_is_killed(tmp_path: Path) -> None:
    site = ("http.server", "--bind", "127.0.0.1", "0")
    program = start_program(*site, environment={}, log=tmp_path / "log")
    with pytest.raises(subprocess.TimeoutExpired):
        program.wait(0.01)
    assert program.poll() is None
    assert os.getpgid(program.pid) == program.pid != os.getpgid(0)
    program.send_signal(signal.SIGKILL)
    assert program.wait(60) == -signal.SIGKILL
