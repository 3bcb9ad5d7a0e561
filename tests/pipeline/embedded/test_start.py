"""`slipway up` starts with a backlog, in any folder, as any user, and with workers that die."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import redis
import requests
from cryptography.fernet import Fernet

from config.settings import Settings, load
from pipeline.broker.celery_app import create_celery_app
from pipeline.broker.dispatch import Dispatcher
from pipeline.broker.queues import DELAY, REACHABILITY, UPKEEP, list_ticks
from pipeline.embedded.services import LONGEST_PAUSE
from pipeline.embedded.supervisor import MAX_ENDS
from pipeline.embedded.valkey import Valkey
from tests.pipeline.embedded.stack import Place, Running, command, place_in, read_pid, up
from tests.waiting import until

BACKLOG = {
    DELAY: "delay.sweep",
    REACHABILITY: "reachability.pulse",
    UPKEEP: "upkeep.rescue",
}
"""Per queue the task of the messages that keep its worker busy."""
DEPTH = 5_000
"""Messages that each queue holds at least while the backlog is kept."""
NOBODY = 65534
NOT_ROOT: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": ()}
ROOT = Path(__file__).parents[3]

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a program as another user")


def publish(running: Running) -> None:
    """Send the post of the summary's `curl` line and wait until it is live."""
    summary = running.summary
    body = {
        "caption": "Hello",
        "media": {"type": "video", "url": f"{summary['media']}/media/sample.mp4"},
        "accounts": [{"id": summary["accounts"]["tiktok"]}],
    }
    key = {"Authorization": f"Bearer {summary['key']}"}
    answer = requests.post(f"{summary['api']}/api/partner/v1/posts", json=body, headers=key, timeout=30)
    assert answer.ok, answer.text
    shown = f"{summary['api']}/api/partner/v1/posts/{answer.json()['data']['id']}"
    until(lambda: count_live(running) == 1, 60, lambda: requests.get(shown, headers=key, timeout=30).text)


def count_live(running: Running) -> int:
    """Return how many posts the sandbox has published."""
    token = {"Authorization": f"Bearer {running.summary['sandbox_token']}"}
    return len(requests.get(f"{running.summary['sandbox']}/control/ledger", headers=token, timeout=60).json())


def settings_of(valkey: Valkey) -> Settings:
    return load(
        {
            "SLIPWAY_STORE__URL": "postgresql+psycopg://slipway@/slipway",
            "SLIPWAY_BROKER__URL": valkey.url,
            "SLIPWAY_VAULT__KEYS": Fernet.generate_key().decode(),
        }
    )


def add_backlog(folder: Path) -> dict[str, list[Any]]:
    """Send the backlog's messages to an engine of its own. Return queue -> its messages."""
    with Valkey(folder) as valkey:
        s = settings_of(valkey)
        app = create_celery_app(s)
        for queue, task in BACKLOG.items():
            (tick,) = (tick for tick in list_ticks(s) if (tick.queue, tick.task) == (queue, task))
            assert Dispatcher(app).send_ticks([tick] * DEPTH)
        app.close()
        client = valkey.client()
        found = {queue: client.lrange(queue, 0, -1) for queue in BACKLOG}
        client.close()
    return found


@contextmanager
def keep_backlog(folder: Path) -> Iterator[Mapping[str, int]]:
    """Keep each queue at its depth, however fast its worker is; yield queue -> its length when last looked at."""
    backlog, lengths, stop = add_backlog(folder), dict[str, int](), Event()

    def refill() -> None:
        client = Valkey(folder).client()
        while not stop.wait(0.1):
            # without a connection the engine is starting, or still reads its file
            with suppress(redis.ConnectionError):
                for queue, messages in backlog.items():
                    lengths[queue] = client.llen(queue)
                    if lengths[queue] < DEPTH:
                        client.lpush(queue, *messages)
        client.close()

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(refill)
        try:
            yield lengths
        finally:
            stop.set()
            running.result()


def test_a_stack_starts_in_a_folder_of_any_name_though_services_die_and_with_a_backlog() -> None:
    with place_in("two words, Grüße, a,b'c\"d%e&f#g") as place:
        data = Path(place.environment["SLIPWAY_FOLDER"])
        with (
            keep_killing(data, "flower") as stop,
            up(place, lambda: kill(data, "worker", 1)) as first,
        ):
            stop.set()
            assert first.summary["warnings"] == ["flower is not ready yet."]
            publish(first)
            until(lambda: "flower             | is ready now." in place.log.read_text(), 2 * LONGEST_PAUSE)
            out, stderr_text = command(place, "sandbox", "faults", "--json").communicate(timeout=120)
            assert out.strip() == "[]", stderr_text
        assert "worker             | was killed by signal 9; it is restarted in 1 s." in place.log.read_text()
        with keep_backlog(data) as lengths, up(place) as second:
            assert second.summary["warnings"] == [], "it is ready while its workers are busy"
            assert lengths.keys() == BACKLOG.keys()
            assert all(lengths.values()), f"the backlog was too small: {lengths}"


def kill(data: Path, name: str, times: int) -> None:
    """Kill a service as often as given, each time as soon as it runs."""
    for _ in range(times):
        pid = until(lambda: read_pid(data, name) or None, 60)
        os.kill(pid, signal.SIGKILL)
        until(lambda pid=pid: read_pid(data, name) != pid, 60)  # type: ignore[misc]


@contextmanager
def keep_killing(data: Path, name: str) -> Iterator[Event]:
    """Kill a service whenever it runs, until the event is set: on no machine, however busy, is it ready before."""
    stop = Event()

    def kill_it() -> None:
        while not stop.wait(0.02):
            if pid := read_pid(data, name):
                # it may have ended, and its record be written anew, since the look
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(kill_it)
        try:
            yield stop
        finally:
            stop.set()
            running.result()


def test_an_api_that_cannot_start_or_a_file_in_the_place_of_the_folder_ends_the_stack_with_the_reason() -> (
    None
):
    with place_in() as place:
        data = place.folder / "data"
        data.touch()
        assert f"{data}" in refuse(place)
        data.unlink()
        with place.log.open("w") as terminal:
            process = command(place, "up", stderr=terminal)
        kill(data, "api", MAX_ENDS)
        assert process.wait(60) == 1
        process.communicate()
        assert "api did not start. The end of its log" in place.log.read_text()


def copy_python(folder: Path, paths: list[Path]) -> dict[str, str]:
    """Copy this interpreter, which another user may not reach, to ``folder``; return the environment for it.

    Its packages are in ``paths``, by a ``.pth`` file: some of our processes ignore the environment.
    """
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    library = Path(sysconfig.get_path("stdlib"))
    left_out = shutil.ignore_patterns("test", "site-packages", "dist-packages", "config-*")
    shutil.copytree(library, folder / "lib" / name, ignore=left_out)
    for shared in library.parent.glob("libpython*.so*"):
        shutil.copy(shared, folder / "lib")
    (folder / "bin").mkdir()
    shutil.copy(Path(sys.executable).resolve(), folder / "bin" / "python")
    packages = folder / "lib" / name / "site-packages"
    packages.mkdir()
    (packages / "slipway.pth").write_text("\n".join(map(str, paths)))
    return {"LD_LIBRARY_PATH": str(folder / "lib")}


@pytest.fixture(scope="module")
def readable_copy() -> Iterator[tuple[str, dict[str, str]]]:
    """An interpreter and the code that every user can read: its path, and the environment for it."""
    packages = Path(sysconfig.get_path("purelib"))
    with place_in("two wörds") as place:
        python, code = place.folder / "python", place.folder / "code"
        environment = copy_python(python, [code, packages])
        for name in ("adapters", "config", "pipeline"):
            shutil.copytree(ROOT / name, code / name)
        for path in (python, code, *python.rglob("*"), *code.rglob("*")):
            path.chmod(0o755)
        argv = [str(python / "bin" / "python"), "-c", "import celery"]
        environ = place.environment | environment
        if subprocess.run(argv, check=False, env=environ, cwd=place.folder, **NOT_ROOT).returncode:
            pytest.skip(f"another user cannot read the packages in {packages}")
        yield argv[0], environment


@pytest.fixture
def other_user(readable_copy: tuple[str, dict[str, str]]) -> Iterator[Place]:
    """A place of a user who is not root."""
    python, environment = readable_copy
    with place_in("two wörds") as place:
        yield replace(
            place,
            environment=place.environment | environment,
            slipway=(python, "-m", "pipeline.cli"),
            options=NOT_ROOT,
        )


@as_root
def test_another_user_starts_it_in_a_folder_of_its_own(other_user: Place) -> None:
    data = Path(other_user.environment["SLIPWAY_FOLDER"])
    data.mkdir()
    os.chown(data, NOBODY, NOBODY)
    with up(other_user) as running:
        assert running.summary["warnings"] == []
        answer = requests.get(f"{running.summary['api']}/readyz", timeout=30)
        assert answer.json()["data"]["parts"]["workers"], answer.text
    assert {path.stat().st_uid for path in data.rglob("*")} == {NOBODY}


def refuse(place: Place) -> str:
    """Return what `slipway up` says when it cannot start."""
    process = command(place, "up")
    out, text = process.communicate(timeout=120)
    assert process.returncode == 1
    assert out == ""
    assert "Traceback" not in text
    return text


@as_root
def test_a_folder_or_file_that_cannot_be_written_is_named_with_what_to_do(other_user: Place) -> None:
    data = Path(other_user.environment["SLIPWAY_FOLDER"])
    text = refuse(other_user)
    assert f"{data}: Permission denied" in text
    assert "User nobody must be able to write" in text
    assert "SLIPWAY_FOLDER" in text

    data.mkdir(mode=0o777)
    data.chmod(0o777)
    assert f"{data}: Operation not permitted" in refuse(other_user)

    (data / "logs").mkdir(parents=True)
    for folder in (data, data / "logs"):
        os.chown(folder, NOBODY, NOBODY)
    (data / "logs" / "migrate.log").touch(mode=0o600)  # a start as root has left it
    assert f"{data}/logs/migrate.log: Permission denied" in refuse(other_user)


WITH_SETTINGS = (
    "demo",
    "settings check",
    "key list",
    "sandbox ledger",
    "vault rotate",
    "worker publish",
    "up",
)
"""A command for each way to the settings: of the demo, the check, the database, the sandbox, the vault, a server."""


@as_root
def test_a_data_folder_that_cannot_be_read_is_named_by_commands_that_need_it(other_user: Place) -> None:
    data = Path(other_user.environment["SLIPWAY_FOLDER"])
    (data / "run").mkdir(parents=True)
    (data / "run" / "settings.env").touch()
    data.chmod(0o700)
    process = command(other_user, "vault", "new-key")
    _, text = process.communicate(timeout=120)
    assert (process.returncode, text) == (0, "")
    for words in WITH_SETTINGS:
        process = command(other_user, *words.split())
        _, text = process.communicate(timeout=120)
        assert process.returncode in {1, 2}, words
        assert f"{data}" in text, words
        assert "Permission denied" in text, words
        assert "SLIPWAY_FOLDER" in text, words
        assert "Traceback" not in text, words
