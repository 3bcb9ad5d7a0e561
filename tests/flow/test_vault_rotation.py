"""The vault's key is rotated while two hosts publish: nothing fails, nothing goes out twice, the old key can go."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from pipeline.store.database import rows
from tests.flow.ledger import caption, end_cli
from tests.stack import Stack, kill_session

KEYS = "SLIPWAY_VAULT__KEYS"
PLATFORMS = ("tiktok", "pinterest", "linkedin")


def start_hosts(stack: Stack, folder: Path, keys: str) -> None:
    """Start, or start again with these keys, the worker and upkeep of one host and a worker of another."""
    running = [stack.parts[name] for name in ("upkeep", "publish", "other") if name in stack.parts]
    for part in running:
        kill_session(part, signal.SIGTERM)
    for part in running:
        part.wait(60)
    stack.start_worker("upkeep", SLIPWAY_VAULT__KEYS=keys)
    stack.start_worker("publish", SLIPWAY_VAULT__KEYS=keys)
    stack.start_worker(
        "publish",
        name="other",
        SLIPWAY_FOLDER=str(folder),
        SLIPWAY_FILES__FOLDER=str(stack.context.settings.files_folder),
        SLIPWAY_MARK__FOLDER=str(stack.context.settings.mark_folder),
        SLIPWAY_VAULT__KEYS=keys,
    )


def rotate(stack: Stack, keys: str) -> list[dict[str, Any]]:
    """Run the command that the documentation names, and return what it prints."""
    status, said = end_cli(stack.environment | {KEYS: keys}, stack.folder, "vault", "rotate", "--json")
    assert status == 0, said
    found: list[dict[str, Any]] = json.loads(said)
    return found


@pytest.fixture
def keys(stack: Stack, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The old key and a new one; afterwards all is sealed by the old one again, and one host runs."""
    old, new = stack.environment[KEYS], Fernet.generate_key().decode()
    yield old, new
    start_hosts(stack, tmp_path, f"{old},{new}")
    rotate(stack, f"{old},{new}")
    stack.kill("other", signal.SIGTERM)
    for name in ("upkeep", "publish"):
        stack.kill(name, signal.SIGTERM)
        stack.start_worker(name)


def test_a_rotation_under_two_hosts_that_publish_loses_and_doubles_nothing(
    stack: Stack, keys: tuple[str, str], tmp_path: Path
) -> None:
    old, new = keys
    texts: dict[str, str] = {}

    def send(number: int) -> None:
        for _ in range(number):
            text = caption()
            texts[stack.create_post(text, *PLATFORMS)] = text

    send(2)
    start_hosts(stack, tmp_path, f"{new},{old}")
    send(2)
    assert all(not one["unopened"] for one in rotate(stack, f"{new},{old}"))
    send(2)
    again = rotate(stack, f"{new},{old}")
    assert [one["sealed_again"] for one in again if one["what"] == "credentials"] == [0]
    start_hosts(stack, tmp_path, new)
    send(2)
    for post, text in texts.items():
        stack.await_status(post, "posted", 120)
        assert sorted(line["platform"] for line in stack.live(text)) == sorted(PLATFORMS)
    with stack.context.database.begin() as c:
        lost = rows(
            c,
            """SELECT d.id FROM deliveries d JOIN moves m ON m.delivery_id = d.id
               WHERE d.post_id = ANY (CAST(:posts AS uuid[])) AND m.target IN ('failed', 'blocked')""",
            posts=list(texts),
        )
    assert lost == []
