"""Flower beside real workers: its tasks are those of posts, their results say what became of them; they are kept."""

from __future__ import annotations

import json
import signal
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


def publish_one(stack: Stack) -> str:
    stack.await_state(stack.create_post(f"taken {uuid4()}", "facebook"), "published", "facebook")
    return str(read_results(stack))
