"""A server told to stop: requests under way are answered, nobody new is let in, and it ends with status 0."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from config.settings import load
from pipeline.store.auth.keys import create_key
from pipeline.store.auth.workspaces import create_workspace
from pipeline.wiring import build_context
from tests.conftest import free_ports
from tests.pipeline.api.running_server import BASE, ROOT, until
from tests.pipeline.media import samples

PNG = samples.image("PNG").ljust(1_000_000, b"\0")


@pytest.fixture
def port() -> int:
    return free_ports(1)[0]


@pytest.fixture
def key(environment: dict[str, str]) -> str:
    context = build_context(load(environment))
    with context.database.begin() as c:
        made = create_key(c, create_workspace(c, name="Tests"), "tests")
    context.database.close()
    return made


@pytest.fixture
def api(environment: dict[str, str], port: int, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """As production starts it, with two processes."""
    more = {
        "SLIPWAY_API__PORT": str(port),
        "SLIPWAY_API__PROCESSES": "2",
        "SLIPWAY_API__SHUTDOWN": "5",
        "SLIPWAY_REACHABILITY__WAIT": "0",
    }
    with (tmp_path / "api.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.cli", "api"],
            env={**environment, **more},
            cwd=ROOT,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        until(lambda: listens(port), "a server to answer", 60)
        yield process
    finally:
        with suppress(ProcessLookupError):  # its workers with it
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def listens(port: int) -> bool:
    with socket.socket() as line:
        return line.connect_ex(("127.0.0.1", port)) == 0


def test_an_upload_under_way_is_answered_and_nobody_new_is_let_in(
    api: subprocess.Popen[bytes], port: int, key: str, tmp_path: Path
) -> None:
    line = half_sent(port, key, tmp_path)
    api.send_signal(signal.SIGTERM)
    until(lambda: not listens(port), "the door to close", 30)
    assert api.poll() is None, "it waits for the upload"
    line.send(PNG[len(PNG) // 2 :])
    answer = line.getresponse()
    assert answer.status == 200, answer.read()
    line.close()
    assert [path.stat().st_size for path in stored(tmp_path)] == [len(PNG)]
    assert api.wait(60) == 0, (tmp_path / "api.log").read_text()


def test_an_upload_that_does_not_end_is_cut_off_when_the_time_is_over(
    api: subprocess.Popen[bytes], port: int, key: str, tmp_path: Path
) -> None:
    line = half_sent(port, key, tmp_path)
    api.send_signal(signal.SIGTERM)
    assert api.wait(60) == 0, (tmp_path / "api.log").read_text()
    line.close()


def half_sent(port: int, key: str, tmp_path: Path) -> http.client.HTTPConnection:
    """An upload whose first half has arrived."""
    opened = requests.post(
        f"http://127.0.0.1:{port}{BASE}/files",
        json={"contentType": "image/png"},
        timeout=30,
        headers={"Authorization": f"Bearer {key}"},
    )
    assert opened.ok, opened.text
    parts = urlsplit(opened.json()["data"]["uploadUrl"])
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    line.putrequest("PUT", f"{parts.path}?{parts.query}")
    line.putheader("Content-Type", "image/png")
    line.putheader("Content-Length", str(len(PNG)))
    line.endheaders(PNG[: len(PNG) // 2])
    until(lambda: bool(stored(tmp_path)), "the upload to begin", 30)
    return line


def stored(tmp_path: Path) -> list[Path]:
    return [path for path in tmp_path.rglob("files/**/*") if path.is_file()]
