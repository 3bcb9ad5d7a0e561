"""Graceful shutdown: requests in progress are answered, new connections refused, and the exit status is 0."""

from __future__ import annotations

import http.client
import signal
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from config.settings import load
from pipeline.store.auth.keys import create_key
from pipeline.store.auth.workspaces import create_workspace
from pipeline.wiring import build_context
from tests.pipeline.api.running_server import BASE, until
from tests.pipeline.api.server.conftest import listens
from tests.pipeline.media import samples

PNG = samples.image("PNG").ljust(1_000_000, b"\0")


@pytest.fixture
def key(environment: dict[str, str]) -> str:
    context = build_context(load(environment))
    with context.database.begin() as c:
        made = create_key(c, create_workspace(c, name="Tests"), "tests")
    context.database.close()
    return made


def test_an_upload_under_way_is_answered_and_nobody_new_is_let_in(
    api: subprocess.Popen[bytes], port: int, key: str, tmp_path: Path
) -> None:
    client = half_sent(port, key, tmp_path)
    api.send_signal(signal.SIGTERM)
    until(lambda: not listens(port), "the port to close", 30)
    assert api.poll() is None, "it waits for the upload"
    client.send(PNG[len(PNG) // 2 :])
    answer = client.getresponse()
    assert answer.status == 200, answer.read()
    client.close()
    assert [path.stat().st_size for path in stored(tmp_path)] == [len(PNG)]
    assert api.wait(60) == 0, (tmp_path / "api.log").read_text()


def test_an_upload_that_does_not_end_is_cut_off_when_the_time_is_over(
    api: subprocess.Popen[bytes], port: int, key: str, tmp_path: Path
) -> None:
    client = half_sent(port, key, tmp_path)
    api.send_signal(signal.SIGTERM)
    assert api.wait(60) == 0, (tmp_path / "api.log").read_text()
    client.close()


def half_sent(port: int, key: str, tmp_path: Path) -> http.client.HTTPConnection:
    """Send the first half of an upload."""
    opened = requests.post(
        f"http://127.0.0.1:{port}{BASE}/files",
        json={"contentType": "image/png"},
        timeout=30,
        headers={"Authorization": f"Bearer {key}"},
    )
    assert opened.ok, opened.text
    parts = urlsplit(opened.json()["data"]["uploadUrl"])
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    client.putrequest("PUT", f"{parts.path}?{parts.query}")
    client.putheader("Content-Type", "image/png")
    client.putheader("Content-Length", str(len(PNG)))
    client.endheaders(PNG[: len(PNG) // 2])
    until(lambda: bool(stored(tmp_path)), "the upload to begin", 30)
    return client


def stored(tmp_path: Path) -> list[Path]:
    return [path for path in tmp_path.rglob("files/**/*") if path.is_file()]
