"""Commands that run until they are stopped log as JSON with --json."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import free_ports

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
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline.cli", *words, "--json"],
        env={**module_environment, **more},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    try:
        first = process.stdout.readline()
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert {"at", "level", "logger", "message"} <= json.loads(first).keys()
