"""Fixtures of the worker tests: a core on the module's environment, and real processes of the Celery app."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from config.settings import Settings
from pipeline.store.vault import Vault
from pipeline.wiring import build_context
from tests.pipeline.core_fixture import CoreFixture, make_core
from tests.pipeline.store.ledger import Ledger

ROOT = Path(__file__).parents[3]


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
def start(environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start ``celery NAME WORDS`` with more environment variables. Its log: 0.log for the first, 1.log, …"""
    started: list[subprocess.Popen[bytes]] = []

    def starting(*words: str, **more: str) -> subprocess.Popen[bytes]:
        with (tmp_path / f"{len(started)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", "pipeline.worker.app", *words, "-l", "WARNING"],
                env={**environment, **more},
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )
        started.append(process)
        return process

    yield starting
    for process in started:
        process.kill()
        process.wait()
