"""Fixtures of the worker tests: a core on the module's environment, and real processes of the Celery app."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.settings import Settings
from pipeline.store.vault import Vault
from pipeline.wiring import build_context
from tests.forked_program import ForkedProgram, start_program
from tests.pipeline.core_fixture import CoreFixture, make_core
from tests.pipeline.store.ledger import Ledger
from tests.pipeline.worker.processes import Start


@pytest.fixture
def core(settings: Settings, vault_key: str) -> Iterator[CoreFixture]:
    context = build_context(settings)
    ledger = Ledger(settings.store.url.get_secret_value(), Vault(vault_key))
    made = make_core(context, ledger)
    made.account("one")
    context.liveness.set_marker()  # a broker that has forgotten everything would be filled by the rescue
    yield made
    ledger.database.close()
    context.database.close()


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
