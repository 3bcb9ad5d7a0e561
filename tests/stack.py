"""Run the whole system as real processes, for the flow tests, the proof, the chaos run and the benchmarks.

Each part is a process in its own session and is killed by process id. ``FAST`` shortens timings so that leases and
settle windows end within a test; the consistency rules between settings are those of production.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import requests
from pydantic import SecretStr

from adapters.contract import Credentials, Platform, RemoteAccount
from config.settings import load
from pipeline.broker.queues import WORKER_GROUPS
from pipeline.runtime.context import Context
from pipeline.store.accounts.accounts import add_account, store_credentials
from pipeline.store.auth.keys import create_key
from pipeline.store.auth.workspaces import create_workspace
from pipeline.wiring import build_context
from tests.forked_program import API, ForkedProgram, start_program
from tests.waiting import until

Part = subprocess.Popen[bytes] | ForkedProgram
CONTROL_TOKEN = "control-of-the-tests"
FAST = {
    "SLIPWAY_PUBLISH__SLICE": "3",
    "SLIPWAY_PUBLISH__LEASE": "6",
    "SLIPWAY_PUBLISH__CALL": "2",
    "SLIPWAY_PUBLISH__LOOK_FIRST": "0.5",
    "SLIPWAY_PUBLISH__BACKOFF": "1",
    "SLIPWAY_PUBLISH__BACKOFF_CAP": "3",
    "SLIPWAY_PUBLISH__OUTAGE_CAP": "2",
    "SLIPWAY_PUBLISH__SETTLE_WINDOW": "2",
    "SLIPWAY_MARK__LEASE": "6",
    "SLIPWAY_WORKER__SHUTDOWN": "5",
}


@dataclass(kw_only=True)
class Stack:
    """One running system. ``environment``: the variables its parts are started with."""

    environment: dict[str, str]
    folder: Path
    ports: Sequence[int]
    parts: dict[str, Part] = field(default_factory=dict)
    replaced: list[Part] = field(default_factory=list)
    """Parts whose name another one has now. One that still ran would take messages from the tests that follow."""
    context: Context = field(init=False)
    key: str = ""
    workspace: UUID = field(init=False)
    accounts: dict[str, UUID] = field(default_factory=dict)
    remote: dict[str, str] = field(default_factory=dict)
    owner: str = "tester"
    """Username of the current sandbox accounts."""
    forks: bool = False
    """Fork the parts instead: they are up sooner."""

    def __post_init__(self) -> None:
        self.environment |= {
            "SLIPWAY_SANDBOX__URL": f"http://127.0.0.1:{self.ports[0]}",
            "SLIPWAY_SANDBOX__MEDIA_URL": f"http://127.0.0.1:{self.ports[1]}",
            "SLIPWAY_SANDBOX__CONTROL_TOKEN": CONTROL_TOKEN,
            "SLIPWAY_SANDBOX__FOLDER": str(self.folder / "sandbox"),
            "SLIPWAY_API__PORT": str(self.ports[2]),
        }
        self.context = build_context(load(self.environment))

    # --- parts -------------------------------------------------------------------------------------------------------

    def start(self, name: str, *command: str, **more: str) -> None:
        """Start one part; its output goes to ``NAME.log`` in the folder."""
        if (before := self.parts.get(name)) is not None:
            self.replaced.append(before)
        environment, log = {**self.environment, **more}, self.folder / f"{name}.log"
        if self.forks:
            module, *words = command
            self.parts[name] = start_program(module, *words, environment=environment, log=log)
            return
        with log.open("ab") as output:
            self.parts[name] = subprocess.Popen(
                [sys.executable, "-m", *command],
                env=environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
                cwd=Path(__file__).parent.parent,
            )

    def start_sandbox(self, *flags: str) -> None:
        """Start the sandbox and wait until it answers."""
        self.start(
            "sandbox",
            "adapters.sandbox",
            "--port",
            str(self.ports[0]),
            "--media-port",
            str(self.ports[1]),
            "--folder",
            str(self.folder / "sandbox"),
            "--uploads",
            f"{self.api}/files/",
            *flags,
            SLIPWAY_SANDBOX_CONTROL_TOKEN=CONTROL_TOKEN,
        )
        until(lambda: is_answering(f"{self.sandbox}/control/health"), 60)

    def start_worker(
        self, group: str, name: str | None = None, slots: int = 8, queues: Sequence[str] = (), **more: str
    ) -> None:
        """Start one worker process of a group. *queues* limits it to these queues of the group."""
        name = name or group
        self.start(
            name,
            "celery",
            "-A",
            "pipeline.worker.app",
            "worker",
            "-c",
            str(slots),
            "-Q",
            ",".join(queues or WORKER_GROUPS[group]),
            "-n",
            f"{name}@%h",
            "--without-gossip",
            "--without-mingle",
            "-l",
            "WARNING",
            **{"SLIPWAY_WORKER__SLOTS": str(slots), **more},
        )

    def start_beat(self) -> None:
        """Start Celery beat."""
        self.start("beat", "celery", "-A", "pipeline.worker.app", "beat", "-l", "WARNING")

    def start_api(self, processes: int = 1) -> None:
        """Start the API server and wait until it answers."""
        command = API if self.forks else ("pipeline.cli", "api")
        self.start("api", *command, SLIPWAY_API__PROCESSES=str(processes))
        until(lambda: is_answering(f"{self.api}/healthz"), 60)

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL, *, wait: bool = True) -> None:
        """Send a signal to one part and all processes of its session."""
        part = self.parts[name]
        kill_session(part, number)
        if wait:
            part.wait(60)

    def get_exit_status(self, name: str) -> int | None:
        """Return the exit status of a part, None while it runs or if it is none."""
        return self.parts[name].poll() if name in self.parts else None

    def stop(self) -> None:
        """Kill all parts."""
        for part in (*self.replaced, *self.parts.values()):
            kill_session(part, signal.SIGKILL)
            part.wait(60)
        self.context.database.close()

    # --- the sandbox -------------------------------------------------------------------------------------------------

    @property
    def sandbox(self) -> str:
        """Origin of the sandbox."""
        return f"http://127.0.0.1:{self.ports[0]}"

    @property
    def api(self) -> str:
        """Origin of the API."""
        return f"http://127.0.0.1:{self.ports[2]}"

    def media(self, name: str) -> str:
        """Return the URL of a sample file."""
        return f"http://127.0.0.1:{self.ports[1]}/media/{name}"

    def control(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Call the sandbox's control API."""
        answer = requests.request(
            method,
            f"{self.sandbox}/control/{path}",
            json=body,
            timeout=60,
            headers={"Authorization": f"Bearer {CONTROL_TOKEN}"},
        )
        assert answer.ok, answer.text
        return answer.json()

    def ledger(self) -> list[dict[str, Any]]:
        """Return the sandbox's ledger of what went live; tests assert on it instead of our tables."""
        lines: list[dict[str, Any]] = self.control("GET", "ledger")
        return lines

    def live(self, caption: str) -> list[dict[str, Any]]:
        """Return the ledger lines whose caption contains *caption*."""
        return [line for line in self.ledger() if caption in str(line["caption"])]

    def fault(self, platform: str, step: str, fault: str, times: int | None = 1, **more: Any) -> None:
        """Order a fault from the sandbox, for *times* requests (None: until deleted)."""
        self.control(
            "POST", "faults", {"platform": platform, "step": step, "fault": fault, "times": times, **more}
        )

    # --- workspace and accounts --------------------------------------------------------------------------------------

    def seed(self, *platforms: str) -> None:
        """Create a workspace, a key, and a sandbox account on each of these platforms."""
        with self.context.database.begin() as c:
            self.workspace = create_workspace(c, name="Tests")
            self.key = create_key(c, self.workspace, "tests")
        for platform in platforms:
            self.accounts[platform] = self.connect(platform, self.owner)

    def connect(
        self,
        platform: str,
        username: str,
        settings: Mapping[str, Any] | None = None,
        *,
        options: Mapping[str, Any] | None = None,
        name: str | None = None,
    ) -> UUID:
        """Connect or reconnect one sandbox account. *name*: key in ``remote``, default the platform."""
        usual = {"default_board": True} if platform == "pinterest" else {}
        options = dict(usual if options is None else options)
        made = self.control(
            "POST", "accounts", {"platform": platform, "username": username, "options": options}
        )
        self.remote[name or platform] = made["remote_id"]
        remote, of = to_remote(made, settings), Platform(platform.partition("_")[0])
        with self.context.database.begin() as c:
            return add_account(c, self.context.vault, self.workspace, of, remote)

    def set_tokens(self, platform: str, state: str) -> None:
        """Set the account's tokens in the sandbox to expired, revoked or valid."""
        self.control(
            "POST", "tokens", {"platform": platform, "remote_id": self.remote[platform], "state": state}
        )

    def reconnect(self, platform: str) -> None:
        """Reconnect the account with valid tokens."""
        self.set_tokens(platform, "valid")
        self.connect(platform, self.owner)

    # --- posting -----------------------------------------------------------------------------------------------------

    def post(self, **body: Any) -> requests.Response:
        """Send POST /posts and return the response."""
        return requests.post(
            f"{self.api}/api/partner/v1/posts",
            json=body,
            timeout=30,
            headers={"Authorization": f"Bearer {self.key}"},
        )

    def create_post(
        self, caption: str, *platforms: str, media: Mapping[str, Any] | None = None, **more: Any
    ) -> str:
        """Create a post, assert 201, and return its id."""
        answer = self.post(
            caption=caption,
            media=media or {"type": "video", "url": self.media("sample.mp4")},
            accounts=[{"id": str(self.accounts[p])} for p in platforms],
            **more,
        )
        assert answer.status_code == 201, answer.text
        identity: str = answer.json()["data"]["id"]
        return identity

    def read(self, post: str) -> dict[str, Any]:
        """Return the data of GET /posts/{id}."""
        answer = requests.get(
            f"{self.api}/api/partner/v1/posts/{post}",
            timeout=60,
            headers={"Authorization": f"Bearer {self.key}"},
        )
        assert answer.status_code == 200, answer.text
        data: dict[str, Any] = answer.json()["data"]
        return data

    def state(self, post: str, platform: str) -> dict[str, Any]:
        """Return the state of a post on one platform."""
        return next(s for s in self.read(post)["accounts"]["states"] if s["platform"] == platform)

    def await_state(
        self, post: str, state: str, platform: str = "tiktok", seconds: float = 40
    ) -> dict[str, Any]:
        """Wait until the delivery on *platform* is in this state."""
        return until(
            lambda: found if (found := self.state(post, platform))["state"] == state else None,
            seconds,
            lambda: f"{platform} is {self.state(post, platform)}, not {state}",
        )

    def await_status(self, post: str, status: str, seconds: float = 40) -> dict[str, Any]:
        """Wait until the post has this status."""
        return until(
            lambda: found if (found := self.read(post))["status"] == status else None,
            seconds,
            lambda: f"the post is {self.read(post)}, not {status}",
        )


def kill_session(part: Part, number: signal.Signals) -> None:
    """Send a signal to all processes of a part's session, if it runs."""
    if part.poll() is None:
        os.killpg(part.pid, number)


def credentials(made: Mapping[str, Any]) -> Credentials:
    """Convert the sandbox's answer to ``Credentials``."""
    now = datetime.now(UTC)
    more = made.get("refresh_expires_in")
    return Credentials(
        access_token=SecretStr(made["access_token"]),
        refresh_token=SecretStr(made["refresh_token"]) if made.get("refresh_token") else None,
        expires_at=now + timedelta(seconds=made["expires_in"]) if made.get("expires_in") else None,
        refresh_expires_at=now + timedelta(seconds=more) if more else None,
        scopes=tuple(made.get("scopes") or ()),
    )


def to_remote(made: Mapping[str, Any], settings: Mapping[str, Any] | None = None) -> RemoteAccount:
    """Convert the sandbox's answer to an account as its platform lists it."""
    return RemoteAccount(
        connection=made["connection"],
        remote_id=made["remote_id"],
        username=made["username"],
        display_name=made["username"],
        credentials=credentials(made),
        settings=settings or made.get("settings") or {},
    )


def is_answering(url: str) -> bool:
    """Return whether the URL answers with a success status."""
    try:
        return requests.get(url, timeout=2).ok
    except requests.RequestException:
        return False


@contextmanager
def run_stack(
    environment: dict[str, str], folder: Path, ports: Sequence[int], *, forks: bool = False
) -> Iterator[Stack]:
    """Yield a stack; kill its parts afterwards."""
    stack = Stack(environment=environment, folder=folder, ports=ports, forks=forks)
    try:
        yield stack
    finally:
        stack.stop()


__all__ = ["FAST", "Stack", "credentials", "run_stack", "store_credentials", "until"]
