"""Commands that run until they are stopped log as JSON with --json; the sandbox prints its addresses."""

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
