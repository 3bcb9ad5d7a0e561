"""The sandbox the suite is run against: one real process, its control API, its ledger and its journal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
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
from tests.adapters.conformance.subjects import PADDED, Subject, facts_of
from tests.conftest import free_ports

ROOT = Path(__file__).parents[3]
CONTROL_TOKEN = "control-of-the-conformance-suite"
STARTS_IN = 60.0
HAPPENS_IN = 10.0
Record = dict[str, Any]


@dataclass(kw_only=True)
class Ground:
    """A running sandbox, and how subjects, accounts and adapters are made for it."""

    folder: Path
    port: int
    media_port: int
    adapters: Mapping[Platform, type[Adapter]] = field(default_factory=lambda: ADAPTERS)
    more_settings: Mapping[Platform, PlatformSettings] = field(default_factory=dict)
    """Of platforms that the program's own settings do not know."""
    _session: requests.Session = field(default_factory=requests.Session)
    _ledger: list[Record] = field(default_factory=list)
    _read: dict[str, int] = field(default_factory=lambda: {"ledger": 0, "state": 0})

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

    # --- faults ------------------------------------------------------------------------------------------------------

    def fault(self, stand_in: str, step: str, fault: str, times: int | None = 1, **more: Any) -> str:
        body = {"platform": stand_in, "step": step, "fault": fault, "times": times, **more}
        return str(self.control("POST", "faults", body)["id"])

    def spent(self, key: str) -> int:
        """How often a fault has struck so far."""
        found = next(f for f in self.control("GET", "faults") if f["id"] == key)
        return int(found["times"]) - int(found["left"])

    def calm(self) -> None:
        """Clears every fault; what was stuck goes on."""
        self.control("DELETE", "faults")

    def later(self, by: timedelta) -> None:
        """Moves the sandbox's clock."""
        self.control("POST", "clock", {"advance_s": int(by.total_seconds()) + 1})

    # --- what is there -----------------------------------------------------------------------------------------------

    def account(self, subject: Subject) -> Account:
        """A new account, so that nothing of an earlier run is in its lists or counts."""
        body = {
            "platform": subject.stand_in,
            "username": f"ann-{uuid4().hex[:10]}",
            "options": subject.of_account,
        }
        made = self.control("POST", "accounts", body)
        return Account(
            id=str(uuid4()),
            platform=subject.platform,
            connection=subject.connection or made["connection"],
            remote_id=made["remote_id"],
            username=made["username"],
            credentials=_credentials(made),
            settings=made.get("settings") or {},
        )

    def reconnected(self, subject: Subject, account: Account) -> Account:
        """The same account with fresh tokens."""
        body = {"platform": subject.stand_in, "remote_id": account.remote_id, "state": "valid"}
        return replace(account, credentials=_credentials(self.control("POST", "tokens", body)))

    def draft(self, subject: Subject) -> Draft:
        """A draft that no other run has."""
        mark = uuid4()
        link = None if subject.track is None else subject.track.link
        return Draft(
            delivery_id=str(mark),
            caption=f"Conformance {mark.hex} #one #two",
            kind=subject.draft_kind,
            media=tuple(self.media(subject, name) for name in subject.files),
            options=dict(subject.options),
            music_url=link,
            track=subject.track,
        )

    def media(self, subject: Subject, name: str) -> Media:
        """One of the sandbox's samples; its bytes are read as the relay hands them out: exactly, in pieces."""
        path = self.folder / "media" / name
        video = name.endswith(".mp4")

        def stream(first: int, length: int) -> Iterator[bytes]:
            with path.open("rb") as file:
                file.seek(first)
                while length > 0:
                    piece = file.read(min(length, 65536))
                    length -= len(piece)
                    yield piece

        return Media(
            url=f"http://127.0.0.1:{self.media_port}/media/{name}",
            kind="video" if video else "image",
            facts=facts_of(name, path.stat().st_size, shapeless=subject.shapeless),
            stream=stream,
        )

    def settings(self, subject: Subject) -> PlatformSettings:
        """As bootstrap makes them for the sandbox, with the subject's own options."""
        made = self.more_settings.get(subject.platform)
        if made is None:
            made = build_platform_settings(
                Settings.model_validate({"sandbox": {"url": self.base}}), subject.platform
            )
        return replace(made, options={**made.options, **subject.of_platform})

    @staticmethod
    def in_seconds(seconds: float) -> timedelta:
        return timedelta(seconds=seconds)

    @staticmethod
    def until(happens: Callable[[], bool]) -> None:
        """Polls until it happens; fails when it does not in time."""
        end = time.monotonic() + HAPPENS_IN
        while not happens():
            assert time.monotonic() < end, "it did not happen in time"
            time.sleep(0.02)

    # --- the judges --------------------------------------------------------------------------------------------------

    def live(self, account: Account) -> list[Record]:
        """What went live for an account, as the append-only file has it."""
        self._ledger += self._appended("ledger")
        return [line for line in self._ledger if line["account"] == account.remote_id]

    def changes(self) -> list[tuple[str, str]]:
        """Kind and key of every record that the journal has got since the last call."""
        return [(kind, key) for batch in self._appended("state") for kind, key, _ in batch["o"]]

    def _appended(self, name: str) -> list[Record]:
        with (self.folder / f"{name}.jsonl").open("rb") as file:
            file.seek(self._read[name])
            data = file.read()
        self._read[name] += len(data)
        return [json.loads(line) for line in data.splitlines()]


@contextmanager
def sandbox(folder: Path, module: str = "adapters.sandbox", **more: Any) -> Iterator[Ground]:
    """A sandbox at instant pace without quotas, ended whatever happens; its end must be a clean one."""
    port, media_port = free_ports(2)
    line = [sys.executable, "-m", module, "--port", str(port), "--media-port", str(media_port)]
    line += ["--folder", str(folder), "--pace", "instant", "--no-quotas"]
    environment = os.environ | {"SLIPWAY_SANDBOX_CONTROL_TOKEN": CONTROL_TOKEN}
    process = subprocess.Popen(line, env=environment, cwd=ROOT)
    ground = Ground(folder=folder, port=port, media_port=media_port, **more)
    try:
        _await(process, f"{ground.base}/control/health")
        _pad(folder / "media")
        yield ground
        process.terminate()
        assert process.wait(20) == 0
    finally:
        ground._session.close()
        if process.poll() is None:
            process.kill()
            process.wait(10)


def _pad(media: Path) -> None:
    film = (media / "sample.mp4").read_bytes()
    for name, size in PADDED.items():
        empty = size - len(film)
        (media / name).write_bytes(film + empty.to_bytes(4, "big") + b"free" + bytes(empty - 8))


def _await(process: subprocess.Popen[bytes], url: str) -> None:
    end = time.monotonic() + STARTS_IN
    while time.monotonic() < end:
        assert process.poll() is None, "the sandbox ended by itself"
        try:
            if requests.get(url, timeout=5).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.05)
    raise AssertionError("the sandbox did not start")


def _credentials(made: Record) -> Credentials:
    refresh, seconds = made.get("refresh_token"), made.get("expires_in")
    return Credentials(
        access_token=SecretStr(made["access_token"]),
        refresh_token=SecretStr(refresh) if refresh else None,
        expires_at=datetime.now(UTC) + timedelta(seconds=seconds) if seconds else None,
        scopes=tuple(made.get("scopes") or ()),
    )
