"""Graceful shutdown: requests in progress are answered, new connections refused, and the exit status is 0."""

from __future__ import annotations

import http.client
import signal
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import requests

from config.settings import load
from pipeline.store.auth.keys import create_key
from pipeline.store.auth.workspaces import create_workspace
from pipeline.wiring import build_context
from tests.pipeline.api.running_server import BASE, until
from tests.pipeline.api.server.conftest import listens
from tests.pipeline.media import samples

PNG = samples.image("PNG").ljust(1_000_000, b"\0")


def test_an_upload_under_way_is_answered_one_that_does_not_end_is_cut_off_and_nobody_new_is_let_in(
    api: subprocess.Popen[bytes], api_environment: dict[str, str], port: int
) -> None:
    folder, key = Path(api_environment["SLIPWAY_FOLDER"]), make_key(api_environment)
    client, endless = (half_sent(port, key, folder, number) for number in (1, 2))
    api.send_signal(signal.SIGTERM)
    until(lambda: not listens(port), "the port to close", 30)
    assert api.poll() is None, "it waits for the uploads"
    client.send(PNG[len(PNG) // 2 :])
    answer = client.getresponse()
    assert answer.status == 200, answer.read()
    client.close()
    assert api.wait(60) == 0, (folder / "api.log").read_text()
    endless.close()
    assert [path.stat().st_size for path in stored(folder)].count(len(PNG)) == 1


def make_key(environment: dict[str, str]) -> str:
    context = build_context(load(environment))
    with context.database.begin() as c:
        made = create_key(c, create_workspace(c, name="Tests"), "tests")
    context.database.close()
    return made


def half_sent(port: int, key: str, folder: Path, number: int) -> http.client.HTTPConnection:
    """Send the first half of an upload, which is the *number*-th that is stored."""
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
    until(lambda: len(stored(folder)) == number, "the upload to begin", 30)
    return client


def stored(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("files/**/*") if path.is_file()]
