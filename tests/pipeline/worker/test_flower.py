"""Flower beside real workers: its tasks are those of posts, their results say what became of them; they are kept."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests

from tests.conftest import environment_of, free_ports
from tests.stack import FAST, Stack, is_answering, run_stack, until

REFUSED = {"error": {"message": "(#368) blocked", "code": 368, "error_subcode": 98765, "is_transient": True}}
PASSWORD = "a password for the tests"


@pytest.fixture
def stack(database_url: str, broker_url: str, vault_key: str, tmp_path: Path) -> Iterator[Stack]:
    environment = environment_of(database_url, broker_url, vault_key, tmp_path) | FAST
    with run_stack(environment, tmp_path, ports := free_ports(4), forks=True) as stack:
        stack.environment |= {
            "SLIPWAY_FLOWER__PORT": str(ports[3]),
            "SLIPWAY_FLOWER__PASSWORD": PASSWORD,
            "SLIPWAY_FOLDER": str(tmp_path / "data"),
        }
        stack.start_sandbox()
        start_flower(stack)
        for group in ("publish", "reachability", "upkeep"):
            stack.start_worker(group)
        stack.start_beat()
        stack.start_api()
        stack.seed("facebook")
        until(lambda: stack.context.liveness.is_alive("reachability"), 60)
        yield stack


def start_flower(stack: Stack) -> None:
    stack.start("flower", "pipeline.cli", "flower")
    until(lambda: is_answering(f"http://127.0.0.1:{stack.ports[3]}/healthcheck"), 60)


def ask(stack: Stack, method: str, path: str) -> requests.Response:
    return requests.request(
        method, f"http://127.0.0.1:{stack.ports[3]}/{path}", auth=("operator", PASSWORD), timeout=60
    )


def read_tasks(stack: Stack) -> dict[str, dict[str, Any]]:
    tasks: dict[str, dict[str, Any]] = ask(stack, "GET", "api/tasks").json()
    return tasks


def read_results(stack: Stack) -> set[str]:
    return {str(task["result"]) for task in read_tasks(stack).values()}


def test_flower_shows_what_became_of_posts_keeps_it_and_changes_nothing(stack: Stack) -> None:
    # Flower enables events when it hears of a worker; what runs before is not shown
    until(lambda: "published 1" in publish_one(stack), 120, lambda: str(read_tasks(stack)))
    stack.fault("facebook", "finalize", "answer", status=400, body=json.dumps(REFUSED))
    rejected = stack.create_post("refused", "facebook")
    stack.await_state(rejected, "failed", "facebook")
    until(lambda: "failed 1 Rejected" in str(read_results(stack)), 60, lambda: str(read_tasks(stack)))
    shown = read_tasks(stack)
    # of a task that began before Flower asked for events it knows no name
    names = {task["name"] for task in shown.values() if task["name"] is not None}
    assert names <= {"publish.step", "status.look", "reachability.check"}
    stack.parts["flower"].send_signal(signal.SIGTERM)
    assert stack.parts["flower"].wait(60) == 0
    start_flower(stack)
    assert shown.keys() <= read_tasks(stack).keys()
    assert ask(stack, "POST", "api/worker/shutdown/publish@host").status_code == 403
    until(lambda: publish_one(stack) and read_tasks(stack).keys() > shown.keys(), 120)
    shown = read_tasks(stack)
    # stored while it runs; the names of tasks are in the file as they are
    until(lambda: all(name.encode() in stored(stack).read_bytes() for name in shown), 60)
    stack.kill("flower", signal.SIGKILL)
    start_flower(stack)
    assert shown.keys() <= read_tasks(stack).keys()


def stored(stack: Stack) -> Path:
    return Path(stack.environment["SLIPWAY_FOLDER"]) / "flower" / "tasks.pickle"


SAVE = """
import os, signal, sys
from types import SimpleNamespace

from flower import options
from flower.events import Events, EventsState

from pipeline.worker import flower_app

file, task, last = sys.argv[1], sys.argv[2], int(sys.argv[3])
state = Events.load_state(SimpleNamespace(db=file)) or EventsState(max_tasks_in_memory=100)
event = {"type": "task-received", "uuid": task, "hostname": "publish@host", "timestamp": 1.0, "local_received": 1.0}
state.event({**event, "clock": 1, "pid": 1, "utcoffset": 0, "name": "publish.step"})
print(*state.tasks, flush=True)
steps = 0


def die(name, arguments):
    global steps
    if name in ("open", "os.rename", "os.remove") and file in str(arguments[0]):
        steps += 1
        if steps == last:
            os.kill(os.getpid(), signal.SIGKILL)


sys.addaudithook(die)
Events.save_state(SimpleNamespace(db=file, state=state, state_save_timer=None, state_save_interval=1))
"""
"""Loads Flower's tasks, prints them, adds one and saves; dies at the given touch of a file, if there are as many."""


def test_a_kill_in_the_middle_of_a_save_leaves_the_tasks_of_before_or_after(tmp_path: Path) -> None:
    file = tmp_path / "tasks.pickle"
    known: list[str] = []
    for step in range(12):
        done = subprocess.run(
            [sys.executable, "-c", SAVE, file, f"task-{step}", str(step)],
            check=False,
            capture_output=True,
            text=True,
        )
        loaded = done.stdout.split()
        assert loaded[: len(known)] == known, f"killed at touch {step - 1}: {done.stderr}"
        known = loaded[:-1] if done.returncode else loaded
        if step and not done.returncode:
            break
    else:
        pytest.fail("it was killed at each touch")
    assert step > 2, "at least one open and one rename were touched"
    assert not list(tmp_path.glob("*.corrupt"))


def publish_one(stack: Stack) -> str:
    stack.await_state(stack.create_post(f"taken {uuid4()}", "facebook"), "published", "facebook")
    return str(read_results(stack))
