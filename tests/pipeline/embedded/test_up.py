"""`slipway up` from the command line: it starts, prints a summary, survives kills and leaves nothing running."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from config.settings import PREFIX
from pipeline.embedded.process import read_start_id
from tests.pipeline.embedded.stack import Place, Running, command, place_in, up
from tests.waiting import until


@pytest.fixture
def place() -> Iterator[Place]:
    """A place where nothing was started."""
    with place_in() as made:
        yield made


def left(place: Place, running: Running) -> list[str]:
    """Return processes that still run and ports that still listen. A zombie counts as ended."""
    found = [f"port {port} listens" for port in place.ports if listens(port)]
    for pid, born in running.processes.items():
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            if read_start_id(pid) == born and process.status() != psutil.STATUS_ZOMBIE:
                found.append(f"process {pid} runs: {process.cmdline()}")
    return found


def is_another(running: Running, name: str, killed: int) -> bool:
    """Return True if a service runs again, under another process id than ``killed``."""
    return running.pid_of(name) not in {0, killed}


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def may_send(running: Running) -> bool:
    """Return True if the epoch file is kept and nothing is in doubt."""
    answer = requests.get(f"{running.summary['api']}/readyz", timeout=60).json()
    return bool(answer["ok"] and answer["data"]["parts"]["mark"])


def status(url: str, **sent: Any) -> int:
    try:
        return requests.get(url, timeout=60, **sent).status_code
    except requests.ConnectionError:
        return 0


def dashboard_opens(summary: dict[str, Any]) -> bool:
    """Return True if the login of the summary opens the dashboard in a browser's way."""
    with requests.Session() as browser:
        page = browser.get(summary["dashboard"], timeout=60)
        token = page.text.partition('name="csrf" value="')[2].partition('"')[0]
        form = {"csrf": token, "login": summary["dashboard_login"], "password": summary["dashboard_password"]}
        answer = browser.post(page.url, form, headers={"Origin": summary["api"]}, timeout=60)
        return answer.url == summary["dashboard"] and answer.ok


def require_served(running: Running) -> None:
    """Check every address and password of the summary, and who may read its secrets."""
    summary = running.summary
    assert status(f"{summary['api']}/healthz") == 200
    assert status(summary["reference"]) == 200
    assert status(summary["flower"]) == 401
    assert status(summary["flower"], auth=(summary["flower_user"], summary["flower_password"])) == 200
    assert dashboard_opens(summary)
    of_flower = psutil.Process(running.pid_of("flower")).environ()
    assert not of_flower["SLIPWAY_SETTINGS_FILE"]
    assert not of_flower.keys() & {"SLIPWAY_VAULT__KEYS", "SLIPWAY_STORE__URL"}
    assert status(f"{summary['sandbox']}/control/faults") == 401
    assert status(f"{summary['media']}/media/sample.mp4") == 200
    assert len(summary["accounts"]) == 6
    assert f"Bearer {summary['key']}" in summary["curl"]
    assert "'$(date +%T)'" in summary["curl"], "pasted again, an equal body would be the same post"
    for private in ("settings.env", "run/settings.env", "seed.json", "dashboard.json"):
        assert stat.S_IMODE((Path(summary["folder"]) / private).stat().st_mode) == 0o600, private


def refuse_second_start(place: Place, running: Running) -> None:
    second = command(place, "up")
    _, stderr_text = second.communicate(timeout=120)
    assert second.returncode == 1
    assert f"already runs on {running.summary['folder']} (process {running.process.pid})" in stderr_text


def order_fault(place: Place) -> None:
    """Order a fault in another terminal, as the README writes it."""
    elsewhere = {
        k: v for k, v in place.environment.items() if k == "SLIPWAY_FOLDER" or not k.startswith(PREFIX)
    }
    told = Place(folder=place.folder, environment=elsewhere, ports=place.ports)
    words = ["sandbox", "fault", "tiktok", "finalize", "effect-then-drop", "--times", "1"]
    out, stderr_text = command(told, *words).communicate(timeout=120)
    assert "is on" in out, stderr_text
    out, _ = command(told, "sandbox", "faults", "--json").communicate(timeout=120)
    assert [(f["platform"], f["step"], f["fault"], f["left"]) for f in json.loads(out)] == [
        ("tiktok", "finalize", "effect-then-drop", 1)
    ]
    _, stderr_text = command(told, "sandbox", "fault", "tiktok", "finalise", "drop").communicate(timeout=30)
    assert "step must be one of" in stderr_text


def kill_services(running: Running) -> None:
    """Kill services until each is restarted, and note the processes that run then."""
    for name in ("api", "postgres", "worker"):
        killed = running.pid_of(name)
        os.kill(killed, signal.SIGKILL)
        is_restarted = partial(is_another, running, name, killed)
        until(is_restarted, 30, lambda name=name: name)  # type: ignore[misc]
    until(lambda: status(f"{running.summary['api']}/healthz") == 200, 30)
    now = psutil.Process(running.process.pid).children(recursive=True)
    running.processes.update({child.pid: read_start_id(child.pid) for child in now})


def kill_all(running: Running) -> None:
    for pid in [running.process.pid, *running.processes]:
        if read_start_id(pid) in {running.processes.get(pid), read_start_id(running.process.pid)}:
            with suppress(ProcessLookupError):  # it ended by itself, its supervisor being gone
                os.kill(pid, signal.SIGKILL)
    running.process.wait()


def stop(place: Place, running: Running, number: signal.Signals) -> None:
    """Stop the stack; nothing is left of it."""
    running.process.send_signal(number)
    assert running.process.wait(60) == 0
    assert left(place, running) == []


def test_kills_of_the_supervisor_of_everything_and_of_services_are_survived_and_a_stop_leaves_no_trace(
    place: Place,
) -> None:
    with up(place) as first:
        require_served(first)
        refuse_second_start(place, first)
        order_fault(place)
        first.process.kill()
        first.process.wait()
        # Not waited for: the next start has to cope with what is still ending.
        with up(place) as second:
            for kept in ("key", "flower_password", "dashboard_password"):
                assert second.summary[kept] == first.summary[kept], kept
            assert dashboard_opens(second.summary)
            kill_all(second)
        with up(place) as third:
            assert third.summary["accounts"] == first.summary["accounts"]
            until(lambda: may_send(third), 30, lambda: "a kill is no restore")
            kill_services(third)
            stop(place, third, signal.SIGTERM)
    assert left(place, first) == []
    assert left(place, second) == []


def test_busy_ports_are_said_with_who_holds_them_and_where_each_is_set(place: Place) -> None:
    """All four are taken; two of them are set in the environment, and two in the folder's file."""
    moved = ("SLIPWAY_FLOWER__PORT", "SLIPWAY_SANDBOX__MEDIA_URL")
    data = Path(place.environment["SLIPWAY_FOLDER"])
    data.mkdir(mode=0o700)
    file = data / "settings.env"
    file.write_text("".join(f"{name}={place.environment[name]}\n" for name in moved))
    environment = {name: value for name, value in place.environment.items() if name not in moved}
    with ExitStack() as held:
        for port in place.ports:
            holder = held.enter_context(socket.socket())
            holder.bind(("127.0.0.1", port))
            holder.listen()
        out, said = command(replace(place, environment=environment), "up").communicate(timeout=120)
    for port, name in zip(
        place.ports, ("the API", "Flower", "the sandbox", "the sandbox's media host"), strict=True
    ):
        assert f"Port {port} ({name}) is taken by process {os.getpid()}" in said
    assert (out, "Traceback" in said) == ("", False)
    told = re.findall(r"Set (\w+)=\S+ in (.+)\.$", said, re.MULTILINE)
    assert len(told) == len(place.ports)
    assert all(where == (str(file) if name in moved else "the environment") for name, where in told)
