"""Start a sandbox in a process of its own, forked or by its command line, and call its control API."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from tests.conftest import free_ports
from tests.forked_program import ForkedProgram, start_program
from tests.waiting import until

CONTROL_TOKEN = "control-token-of-the-tests"
ROOT = Path(__file__).parents[3]
_WAIT_S = 60.0


def free_port() -> int:
    [port] = free_ports(1)
    return port


def wait_until(ask: Callable[[], Any]) -> Any:
    """Return the first true result of `ask`; fail if there is none in time."""
    return until(
        lambda: ask() or None, _WAIT_S, lambda: f"{ask} had no true result in {_WAIT_S} s", poll=0.02
    )


MODULE = "adapters.sandbox"


def name_places(folder: Path, port: int, media_port: int) -> list[str]:
    return ["--port", str(port), "--media-port", str(media_port), "--folder", str(folder)]


def command(folder: Path, port: int, media_port: int) -> list[str]:
    return [sys.executable, "-m", MODULE, *name_places(folder, port, media_port)]


@dataclass(kw_only=True)
class Account:
    """An account of the sandbox with its tokens."""

    platform: str
    remote_id: str
    access_token: str
    refresh_token: str | None
    answer: dict[str, Any]


@dataclass(kw_only=True)
class Sandbox:
    """A sandbox process; `start` after `kill` resumes in the same folder."""

    folder: Path
    port: int = field(default_factory=free_port)
    media_port: int = field(default_factory=free_port)
    process: ForkedProgram | None = None

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def media(self, name: str) -> str:
        return f"http://127.0.0.1:{self.media_port}/media/{name}"

    def start(self) -> None:
        environment = os.environ | {"SLIPWAY_SANDBOX_CONTROL_TOKEN": CONTROL_TOKEN}
        words = [
            *name_places(self.folder, self.port, self.media_port),
            "--processing",
            "0.2",
            "--moderation",
            "0.1",
        ]
        self.process = start_program(MODULE, *words, environment=environment, log=self.folder / "sandbox.log")
        wait_until(self._is_up)

    def _is_up(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, "the sandbox exited"
        try:
            answer = requests.get(f"{self.base}/control/health", timeout=60)
        except requests.ConnectionError:
            return False
        return bool(answer.json() == {"ok": True})

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(120)

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(120)

    def control(self, method: str, path: str, body: object = None) -> requests.Response:
        headers = {"Authorization": f"Bearer {CONTROL_TOKEN}"}
        return requests.request(method, f"{self.base}/control/{path}", json=body, headers=headers, timeout=30)

    def control_json(self, method: str, path: str, body: object = None) -> Any:
        """Call the control API and return the JSON response; fail on an error."""
        answer = self.control(method, path, body)
        assert answer.ok, answer.text
        return answer.json()

    def account(self, platform: str, username: str = "ann", **more: Any) -> Account:
        answer = self.control_json("POST", "accounts", {"platform": platform, "username": username, **more})
        return Account(
            platform=platform,
            remote_id=answer["remote_id"],
            access_token=answer["access_token"],
            refresh_token=answer.get("refresh_token"),
            answer=answer,
        )

    def fault(self, platform: str, step: str, fault: str, times: int | None = 1, **more: Any) -> str:
        body = {"platform": platform, "step": step, "fault": fault, "times": times, **more}
        return str(self.control_json("POST", "faults", body)["id"])

    def pace(self, pace: str, *, quotas: bool) -> None:
        self.control_json("POST", "pace", {"pace": pace, "quotas": quotas})

    def ledger(self, platform: str | None = None) -> list[dict[str, Any]]:
        """Return the entries of the control API, after checking that the file has the same."""
        query = "" if platform is None else f"?platform={platform}"
        end = time.monotonic() + 60
        while True:  # a post may go live between the two reads
            entries: list[dict[str, Any]] = self.control_json("GET", f"ledger{query}")
            lines = [json.loads(line) for line in (self.folder / "ledger.jsonl").read_text().splitlines()]
            on_disk = [entry for entry in lines if platform in (None, entry["platform"])]
            if on_disk == entries or time.monotonic() > end:
                break
        assert on_disk == entries
        return entries
