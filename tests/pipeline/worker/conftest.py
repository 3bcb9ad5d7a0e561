"""Fixtures of the worker tests: a core on the module's environment, and real processes of the Celery app."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.forked_program import ForkedProgram, start_program
from tests.pipeline.core_fixture import CoreFixture, open_core
from tests.pipeline.worker.processes import Start


@pytest.fixture
def core(environment: dict[str, str], vault_key: str) -> Iterator[CoreFixture]:
    with open_core(environment, vault_key) as made:
        made.context.liveness.set_marker()  # a broker that has forgotten everything would be filled by the rescue
        yield made


@pytest.fixture
def start(environment: dict[str, str], tmp_path: Path) -> Iterator[Start]:
    """Start ``celery NAME WORDS`` with more environment variables. Its log: 0.log for the first, 1.log, …"""
    started: list[ForkedProgram] = []

    def starting(*words: str, **more: str) -> ForkedProgram:
        command = ("celery", "-A", "pipeline.worker.app", *words, "-l", "WARNING")
        log = tmp_path / f"{len(started)}.log"
        started.append(start_program(*command, environment={**environment, **more}, log=log))
        return started[-1]

    yield starting
    for process in started:
        process.send_signal(signal.SIGKILL)
        process.wait()
