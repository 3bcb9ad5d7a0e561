"""The drill: back up while posts go out, lose everything, restore on an empty host, and send nothing twice.

What each platform's list proves is asserted in tests/adapters/conformance/test_listings.py, what becomes of a delivery
in doubt in tests/pipeline/recovery, and what a person does about it in tests/pipeline/cli/test_restore.py.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
import requests
from sqlalchemy import Connection

from adapters.contract import Platform
from pipeline.broker.queues import WORKER_GROUPS
from pipeline.embedded.postgres import Postgres
from pipeline.store.canaries import read_silences
from pipeline.store.database import rows
from pipeline.store.deliveries.pauses import lift, pause
from tests.flow.ledger import ask, caption, delivery, end_cli, sample, slideshow, upload
from tests.stack import Stack, until

T = TypeVar("T")
PARTS = ("api", "beat", *WORKER_GROUPS)
WAIT = 60
"""Seconds of an idle machine: every part is started again."""
REFUSED = 503
HELD = {platform: f"{platform}_held" for platform in Platform}
"""Platform -> the name of an account of it that is paused while the backup is made."""


class Clock:
    """Prints how long each step of the drill takes."""

    def measure(self, step: str, work: Callable[[], T]) -> T:
        start = time.monotonic()
        found = work()
        print(f"\n{time.monotonic() - start:7.2f} s  {step}", flush=True)
        return found


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def old(stack: Stack) -> Iterator[Stack]:
    """The installation that is lost; its parts run again after the test, for the others of this folder."""
    yield stack
    for part in PARTS:
        if stack.parts[part].poll() is not None:
            _start(stack, part)


@pytest.fixture
def host(tmp_path: Path, old: Stack, broker_url: str) -> Iterator[Callable[[], Stack]]:
    """Starts an installation of its own folder, broker and PostgreSQL, on the addresses of the lost one."""
    with ExitStack() as started:

        def start() -> Stack:
            server = started.enter_context(Postgres(tmp_path / "new"))
            environment = environment_of_host(old, tmp_path / "new")
            environment |= {"SLIPWAY_STORE__URL": server.url, "SLIPWAY_BROKER__URL": broker_url}
            made = Stack(environment=environment, folder=tmp_path / "logs", ports=old.ports, forks=True)
            started.callback(made.stop)
            made.key, made.accounts, made.workspace = old.key, old.accounts, old.workspace
            for part in PARTS:
                _start(made, part)
            return made

        (tmp_path / "logs").mkdir()
        yield start


def environment_of_host(old: Stack, folder: Path) -> dict[str, str]:
    """Return the settings of the old installation on a host with this data folder, which names no database."""
    settings = {name: value for name, value in old.environment.items() if name != "SLIPWAY_STORE__URL"}
    return settings | {"SLIPWAY_FOLDER": str(folder)}


def test_a_backup_made_while_posts_go_out_is_restored_on_an_empty_host_and_sends_nothing_twice(
    old: Stack, host: Callable[[], Stack], tmp_path: Path, clock: Clock
) -> None:
    texts = {
        name: caption() for name in ("before", "unknown", "found", "forward", "later", "lost", "due", "new")
    }
    hour = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    bytes_ = sample(old, "sample.mp4")
    url = upload(old, "video/mp4", bytes_)
    for platform, name in HELD.items():
        options = (
            {"kind": "organization"} if platform is Platform.LINKEDIN else None
        )  # a member's cannot be listed
        old.accounts[name] = old.connect(platform, f"{old.owner}h", options=options, name=name)
    _change_pauses(old, lambda c, account: pause(c, "account", account, "a test"))
    old.fault("linkedin", "finalize", "effect-then-drop")
    media = {"type": "video", "url": url}
    posts = {
        "before": old.create_post(texts["before"], "tiktok"),
        "unknown": old.create_post(texts["unknown"], "linkedin", media=slideshow(old)),
        "found": old.create_post(texts["found"], *HELD.values()),
        "forward": old.create_post(texts["forward"], "linkedin", media=slideshow(old), scheduled_at=hour),
        "later": old.create_post(texts["later"], "tiktok", media=media, scheduled_at=hour),
    }
    old.await_status(posts["before"], "posted", WAIT)
    old.await_state(posts["unknown"], "blocked", "linkedin", WAIT)
    during = [caption() for _ in range(6)]
    for text in during:
        old.create_post(text, "tiktok")
    made = clock.measure(
        "back up, while six posts go out",
        lambda: _slipway(old.environment, "backup", str(tmp_path / "backup")),
    )
    assert made["missing files"] == "none"

    _change_pauses(old, lambda c, account: lift(c, "account", account))
    _publish_now(old, posts["forward"])
    old.create_post(texts["lost"], "tiktok")
    went_out = [texts[name] for name in ("before", "unknown", "found", "forward", "lost")] + during
    # eight go to one account, which takes six a minute: the last two wait for theirs on a fast machine
    until(lambda: all(old.live(text) for text in went_out), 3 * WAIT)
    until(lambda: len(old.live(texts["found"])) == len(HELD), WAIT)
    for part in PARTS:
        old.kill(part)
    shutil.copytree(Path(old.environment["SLIPWAY_FOLDER"]) / "mark", tmp_path / "new" / "mark")

    empty = environment_of_host(old, tmp_path / "new")
    restored = clock.measure("restore", lambda: _slipway(empty, "restore", str(tmp_path / "backup")))
    assert restored["missing"] == []
    new = clock.measure("start everything", host)
    ready = clock.measure("say what is in doubt", lambda: until(lambda: _read_ready(new, REFUSED), WAIT))
    assert "`slipway restore status`" in ready["message"]
    new.create_post(texts["due"], "tiktok")
    sent = len(new.ledger())
    _await_canaries(new)
    assert len(new.ledger()) == sent, "nothing is sent before `accept`"
    download = requests.get(url, timeout=60)
    assert hashlib.sha256(download.content).digest() == hashlib.sha256(bytes_).digest()

    doubted = {one["id"] for one in _slipway(new.environment, "restore", "list")}
    in_doubt = {name for name, post in posts.items() if delivery(new, post) in doubted}
    assert in_doubt == {"unknown", "found", "forward"}
    clock.measure("accept", lambda: _slipway(new.environment, "restore", "accept"))
    until(lambda: _read_ready(new, 200), WAIT)
    for platform in HELD:
        assert new.await_state(posts["found"], "published", platform, WAIT)["error"] is None
    _publish_now(new, posts["later"])
    post = new.create_post(texts["new"], "tiktok")
    for identity in (posts["later"], post):
        new.await_status(identity, "posted", WAIT)
    clock.measure("look for what is in doubt", lambda: until(lambda: not _list_unknown(new), 2 * WAIT))
    counts = {text: len(new.live(text)) for text in (*texts.values(), *during)}
    assert counts == {**dict.fromkeys(counts, 1), texts["found"]: len(HELD), texts["due"]: 0}


def _start(stack: Stack, part: str) -> None:
    if part in WORKER_GROUPS:
        stack.start_worker(part)
    else:
        {"api": stack.start_api, "beat": stack.start_beat}[part]()


def _change_pauses(stack: Stack, change: Callable[[Connection, str], object]) -> None:
    with stack.context.database.begin() as c:
        for name in HELD.values():
            change(c, str(stack.accounts[name]))


def _publish_now(stack: Stack, post: str) -> None:
    answer = ask(stack, "PATCH", f"/posts/{post}", {"scheduled_at": None})
    assert answer.status_code == 200, answer.text


def _read_ready(stack: Stack, status: int) -> Any:
    answer = requests.get(f"{stack.api}/readyz", timeout=60)
    return answer.json() if answer.status_code == status else None


def _slipway(environment: Mapping[str, str], *words: str) -> Any:
    """Run an operator's command and return its JSON, which follows the warnings."""
    status, said = end_cli(environment, Path(environment["SLIPWAY_FOLDER"]).parent, *words, "--json")
    assert status == 0, said
    return json.loads(re.split(r"^(?=[\[{])", said, maxsplit=1, flags=re.MULTILINE)[-1])


def _await_canaries(stack: Stack) -> None:
    """Wait until a worker has taken a message of each of these queues that was sent after this call."""
    start = time.monotonic()

    def are_taken() -> bool:
        with stack.context.database.begin() as c:
            silences = read_silences(c)
        elapsed = time.monotonic() - start
        return all(
            queue in silences and silences[queue].total_seconds() < elapsed - 1
            for queue in ("delay", "publish.tiktok", "status")
        )

    until(are_taken, 2 * WAIT)


def _list_unknown(stack: Stack) -> list[Any]:
    with stack.context.database.begin() as c:
        return rows(c, "SELECT id FROM deliveries WHERE state NOT IN ('published', 'blocked', 'cancelled')")
