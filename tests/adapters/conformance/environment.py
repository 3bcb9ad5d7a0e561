"""The sandbox that the suite runs against: a process of its own, its control API, its ledger and its state file."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import requests
from pydantic import SecretStr

from adapters.contract import Account, Adapter, Credentials, Draft, Media, Platform, PlatformSettings
from adapters.registry import ADAPTERS
from config.settings import Settings
from pipeline.wiring import build_platform_settings
from tests.adapters.conformance.post_cases import PADDED_SAMPLES, PostCase, find_media_kind, make_facts
from tests.conftest import free_ports
from tests.forked_program import ForkedProgram, start_program
from tests.waiting import until

ROOT = Path(__file__).parents[3]
CONTROL_TOKEN = "control-of-the-conformance-suite"
START_TIMEOUT = 60.0
WAIT_TIMEOUT = 60.0
Record = dict[str, Any]


@dataclass(kw_only=True)
class Environment:
    """A running sandbox; makes accounts, drafts and settings for it."""

    folder: Path
    port: int
    media_port: int
    adapters: Mapping[Platform, type[Adapter]] = field(default_factory=lambda: ADAPTERS)
    more_settings: Mapping[Platform, PlatformSettings] = field(default_factory=dict)
    """Settings of platforms that ``config.settings`` does not have."""
    _session: requests.Session = field(default_factory=requests.Session)
    """The client of the control API; it reads no proxies from the environment at each of thousands of requests."""
    _ledger: list[Record] = field(default_factory=list)
    _read: dict[str, int] = field(default_factory=lambda: {"ledger": 0, "state": 0})

    def __post_init__(self) -> None:
        self._session.trust_env = False

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def control(self, method: str, path: str, body: object = None) -> Any:
        answer = self._session.request(
            method,
            f"{self.base}/control/{path}",
            json=body,
            timeout=30,
            headers={"Authorization": f"Bearer {CONTROL_TOKEN}"},
        )
        assert answer.ok, answer.text
        return answer.json()

    def reset(self) -> None:
        """Delete accounts, posts and faults, and set the sandbox's clock back."""
        self.control("POST", "reset", {"ledger": True})
        self._ledger.clear()
        self._read |= {"ledger": 0, "state": 0}

    # --- faults ------------------------------------------------------------------------------------------------------

    def add_fault(
        self, sandbox_platform: str, step: str, fault: str, times: int | None = 1, **more: Any
    ) -> str:
        body = {"platform": sandbox_platform, "step": step, "fault": fault, "times": times, **more}
        return str(self.control("POST", "faults", body)["id"])

    def count_strikes(self, key: str) -> int:
        """Return how often a fault has struck."""
        found = next(f for f in self.control("GET", "faults") if f["id"] == key)
        return int(found["times"]) - int(found["left"])

    def clear_faults(self) -> None:
        """Clear every fault; stuck processing continues."""
        self.control("DELETE", "faults")

    def advance_clock(self, by: timedelta) -> None:
        """Advance the sandbox's clock by at least ``by``."""
        self.control("POST", "clock", {"advance_s": int(by.total_seconds()) + 1})

    # --- accounts and drafts -----------------------------------------------------------------------------------------

    def create_account(self, post_case: PostCase) -> Account:
        """Create a new account, without posts and counts of earlier runs."""
        body = {
            "platform": post_case.sandbox_platform,
            "username": f"ann-{uuid4().hex[:10]}",
            "options": post_case.account_options,
        }
        made = self.control("POST", "accounts", body)
        return Account(
            id=str(uuid4()),
            platform=post_case.platform,
            connection=post_case.connection or made["connection"],
            remote_id=made["remote_id"],
            username=made["username"],
            credentials=_credentials(made),
            settings=made.get("settings") or {},
        )

    def reconnect(self, post_case: PostCase, account: Account) -> Account:
        """Return the account with new tokens, as after a person reconnects it."""
        body = {"platform": post_case.sandbox_platform, "remote_id": account.remote_id, "state": "valid"}
        return replace(account, credentials=_credentials(self.control("POST", "tokens", body)))

    def make_draft(self, post_case: PostCase) -> Draft:
        """Return a draft with a unique caption."""
        unique = uuid4()
        link = None if post_case.track is None else post_case.track.link
        return Draft(
            delivery_id=str(unique),
            caption=f"Conformance {unique.hex} #one #two",
            kind=post_case.draft_kind,
            media=tuple(self.make_media(post_case, name) for name in post_case.files),
            title="Conformance" if post_case.draft_kind == "document" else None,
            options=dict(post_case.options),
            music_url=link,
            track=post_case.track,
        )

    def make_media(self, post_case: PostCase, name: str) -> Media:
        """Return one of the sandbox's samples; its stream yields exact ranges in pieces, as the relay does."""
        path = self.folder / "media" / name

        def stream(first: int, length: int) -> Iterator[bytes]:
            with path.open("rb") as file:
                file.seek(first)
                while length > 0:
                    piece = file.read(min(length, 65536))
                    length -= len(piece)
                    yield piece

        return Media(
            url=f"http://127.0.0.1:{self.media_port}/media/{name}",
            kind=find_media_kind(name),
            facts=make_facts(name, path.stat().st_size, hides_dimensions=post_case.hides_dimensions),
            stream=stream,
        )

    def make_settings(self, post_case: PostCase) -> PlatformSettings:
        """Return the settings that the wiring builds for the sandbox, with the case's options."""
        made = self.more_settings.get(post_case.platform)
        if made is None:
            made = build_platform_settings(
                Settings.model_validate({"sandbox": {"url": self.base}}), post_case.platform
            )
        return replace(made, options={**made.options, **post_case.platform_options})

    @staticmethod
    def wait_until(condition: Callable[[], bool]) -> None:
        """Poll until the condition is true; fail after WAIT_TIMEOUT seconds."""
        until(condition, WAIT_TIMEOUT, lambda: f"not true after {WAIT_TIMEOUT} s", poll=0.02)

    # --- ledger and state file ---------------------------------------------------------------------------------------

    def list_live(self, account: Account) -> list[Record]:
        """Return the ledger's entries of an account."""
        self._ledger += self._read_new_lines("ledger")
        return [line for line in self._ledger if line["account"] == account.remote_id]

    def list_changes(self) -> list[tuple[str, str]]:
        """Return kind and key of every record written to the state file since the last call."""
        return [(kind, key) for batch in self._read_new_lines("state") for kind, key, _ in batch["o"]]

    def _read_new_lines(self, name: str) -> list[Record]:
        with (self.folder / f"{name}.jsonl").open("rb") as file:
            file.seek(self._read[name])
            data = file.read()
        self._read[name] += len(data)
        return [json.loads(line) for line in data.splitlines()]


@contextmanager
def run_sandbox(folder: Path, module: str = "adapters.sandbox", **more: Any) -> Iterator[Environment]:
    """Run a sandbox at instant pace without quotas; fail unless it exits with status 0."""
    port, media_port = free_ports(2)
    words = ["--port", str(port), "--media-port", str(media_port), "--folder", str(folder)]
    words += ["--pace", "instant", "--no-quotas"]
    variables = os.environ | {"SLIPWAY_SANDBOX_CONTROL_TOKEN": CONTROL_TOKEN}
    process = start_program(module, *words, environment=variables, log=folder / "sandbox.log")
    environment = Environment(folder=folder, port=port, media_port=media_port, **more)
    try:
        _wait_until_up(process, f"{environment.base}/control/health")
        _make_padded_samples(folder / "media")
        yield environment
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 0, (folder / "sandbox.log").read_text()
    finally:
        environment._session.close()
        process.send_signal(signal.SIGKILL)
        process.wait(120)


def _make_padded_samples(media: Path) -> None:
    sample = (media / "sample.mp4").read_bytes()
    for name, size in PADDED_SAMPLES.items():
        empty = size - len(sample)
        (media / name).write_bytes(sample + empty.to_bytes(4, "big") + b"free" + bytes(empty - 8))


def _wait_until_up(process: ForkedProgram, url: str) -> None:
    def is_up() -> bool:
        assert process.poll() is None, "the sandbox ended by itself"
        try:
            return requests.get(url, timeout=60).ok
        except requests.ConnectionError:
            return False

    until(is_up, START_TIMEOUT, lambda: "the sandbox did not start")


def _credentials(made: Record) -> Credentials:
    refresh, seconds = made.get("refresh_token"), made.get("expires_in")
    return Credentials(
        access_token=SecretStr(made["access_token"]),
        refresh_token=SecretStr(refresh) if refresh else None,
        expires_at=datetime.now(UTC) + timedelta(seconds=seconds) if seconds else None,
        scopes=tuple(made.get("scopes") or ()),
    )
