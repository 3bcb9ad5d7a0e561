"""Kill the server at each point of an upload; the client sends the same bytes again until it gets a response.

Every object left in storage is recorded in ``file_puts``, and maintenance removes it. The file is stored once, whole.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import requests

from config.settings import load
from pipeline.maintenance.expire import expire_files
from pipeline.runtime.context import Context
from pipeline.store.auth.keys import create_key
from pipeline.store.auth.workspaces import create_workspace
from pipeline.store.database import rows
from pipeline.wiring import build_context
from tests.conftest import free_ports
from tests.crash_table import Crashes
from tests.forked_program import API, start_program
from tests.pipeline.api.running_server import BASE, until
from tests.pipeline.media import samples
from tests.pipeline.media.bucket import objects_in, serving_bucket

IN_UPKEEP = ("files.removing", "files.removed")
PNG = samples.image("PNG").ljust(3_000_000, b"\0")


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """Settings of one kind of storage: a folder, or an S3 bucket."""
    if request.param == "s3":
        with serving_bucket() as settings:
            yield settings
    else:
        yield {"SLIPWAY_FILES__STORE": "folder"}


@contextmanager
def served(environment: dict[str, str], log: Path) -> Iterator[str]:
    """Run the API and wait until it answers; yield its URL."""
    process = start_program(*API, environment=environment, log=log)
    api = f"http://127.0.0.1:{environment['SLIPWAY_API__PORT']}"
    try:
        until(lambda: _answers(api), "a server to answer", 60)
        yield api
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(120)


@pytest.fixture
def context(environment: dict[str, str], store: dict[str, str]) -> Iterator[Context]:
    built = build_context(load(environment | store | {"SLIPWAY_API__PORT": str(free_ports(1)[0])}))
    yield built
    built.database.close()


def test_whenever_the_server_dies_the_client_repeats_and_gets_its_file(
    context: Context, environment: dict[str, str], store: dict[str, str], tmp_path: Path, crashes: Crashes
) -> None:
    points = [point for point in crashes.points if point not in IN_UPKEEP]
    given = environment | store | {"SLIPWAY_API__PORT": str(context.settings.api.port)}
    with context.database.begin() as c:
        key = create_key(c, create_workspace(c, name="Tests"), "tests")
    made: dict[str, str] = {}
    for point in points:
        with served(given | crashes.arm(point), tmp_path / "log") as api:
            made = made or _opened(api, key)
            with pytest.raises(requests.ConnectionError):
                _sent(made["uploadUrl"], PNG if point != "files.abandoned" else b"not an image")
    with served(given, tmp_path / "log"):
        stored = _sent(made["uploadUrl"])
        assert stored.status_code == 200
        assert stored.json()["data"]["size"] == len(PNG)
        assert requests.get(made["url"], timeout=30).content == PNG
    left = _notes(context)
    assert len(left) == len({*points} - {"files.committed"}), "every death before the commit left its note"
    assert expire_files(context) == 0, "an upload of today may still be under way"
    with context.database.begin() as c:
        c.exec_driver_sql("UPDATE file_puts SET begun_at = now() - interval '2 days'")
    for point in filter(crashes.points.__contains__, IN_UPKEEP):
        crashes.crash(given, point, "run_job", "files")
        assert _notes(context) == left, "between an object's end and its row's: the next time does both again"
    assert expire_files(context) == len(left)
    assert _notes(context) == []
    assert len(_lying(context, store)) == 1


def _opened(api: str, key: str) -> dict[str, str]:
    headers = {"Authorization": f"Bearer {key}"}
    answer = requests.post(
        f"{api}{BASE}/files", json={"contentType": "image/png"}, headers=headers, timeout=30
    )
    made: dict[str, str] = answer.json()["data"]
    return made


def _sent(url: str, data: bytes = PNG) -> requests.Response:
    return requests.put(url, data=data, headers={"Content-Type": "image/png"}, timeout=30)


def _answers(api: str) -> bool:
    try:
        return requests.get(f"{api}/healthz", timeout=60).ok
    except requests.ConnectionError:
        return False


def _notes(context: Context) -> list[str]:
    with context.database.begin() as c:
        return [r.object for r in rows(c, "SELECT object FROM file_puts")]


def _lying(context: Context, store: dict[str, str]) -> list[str]:
    if store["SLIPWAY_FILES__STORE"] == "s3":
        return objects_in(store)
    return [str(path) for path in context.settings.files_folder.rglob("*") if path.is_file()]
