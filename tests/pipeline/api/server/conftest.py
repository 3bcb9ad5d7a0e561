"""`slipway api` with two processes, started as in production."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.conftest import free_ports
from tests.pipeline.api.running_server import ROOT, until


@pytest.fixture(scope="module")
def port() -> int:
    return free_ports(1)[0]


@pytest.fixture(scope="module")
def api_environment(module_environment: dict[str, str], port: int) -> dict[str, str]:
    return {
        **module_environment,
        "SLIPWAY_API__PORT": str(port),
        "SLIPWAY_API__PROCESSES": "2",
        "SLIPWAY_API__SHUTDOWN": "5",
        "SLIPWAY_REACHABILITY__WAIT": "0",
    }


@pytest.fixture(scope="module")
def api(api_environment: dict[str, str], port: int) -> Iterator[subprocess.Popen[bytes]]:
    """The command, for all tests of a module."""
    with (Path(api_environment["SLIPWAY_FOLDER"]) / "api.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.cli", "api"],
            env=api_environment,
            cwd=ROOT,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        until(lambda: listens(port), "a server to answer", 60)
        yield process
    finally:
        with suppress(ProcessLookupError):  # the server processes are in its group
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
