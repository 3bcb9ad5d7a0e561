"""The parts of the stack beside its engines: what runs, when it answers, in which order it stops."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import requests

from config.settings import Settings
from pipeline.embedded import sandbox
from pipeline.embedded.ports import Wanted
from pipeline.embedded.process import Program
from pipeline.queues import GROUPS

ASKS_FOR_PASSWORD = 401
STOPS_AT_ONCE = 10.0
"""Seconds a part without work of its own gets to end."""
LATER = 5.0
"""Seconds beyond SLIPWAY_WORKER__SHUTDOWN, or SLIPWAY_API__SHUTDOWN, until a part that does not end is killed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One process, restarted when it ends. `turn`: parts of a lower one are stopped first."""

    program: Program
    turn: int
    patience: float = STOPS_AT_ONCE
    """Seconds from being asked to end until it is killed."""
    answers: Callable[[], bool] = field(default=lambda: True)

    @property
    def name(self) -> str:
        """What it is called in logs and on the terminal."""
        return self.program.name


def sandbox_part(s: Settings, environment: Mapping[str, str]) -> Part | None:
    """The sandbox, unless it was switched off. It outlives the workers, which speak to it until they end."""
    if not s.sandbox.url:
        return None
    program = Program(
        name="sandbox",
        argv=[sys.executable, *sandbox.arguments(s)],
        environment={**environment, **sandbox.environment(s.sandbox)},
    )
    return Part(
        program=program, turn=3, answers=lambda: _status(f"{s.sandbox.url}/control/health") is not None
    )


def parts(s: Settings, environment: Mapping[str, str]) -> list[Part]:
    """API, beat, one worker a group, Flower."""

    def program(name: str, *arguments: str) -> Program:
        return Program(name=name, argv=[*slipway(), *arguments], environment=environment)

    patience = s.worker.shutdown + LATER
    workers = [
        Part(program=program(f"worker-{group}", "worker", group), turn=1, patience=patience)
        for group in GROUPS
    ]
    return [
        Part(
            program=program("api", "api"),
            turn=2,
            patience=s.api.shutdown + LATER,
            answers=lambda: _status(f"{origin(s.api.host, s.api.port)}/healthz") == requests.codes.ok,
        ),
        Part(program=program("beat", "beat"), turn=1),
        *workers,
        Part(
            program=program("flower", "flower"),
            turn=2,
            answers=lambda: _status(origin(s.flower.host, s.flower.port)) == ASKS_FOR_PASSWORD,
        ),
    ]


def slipway() -> list[str]:
    """How our own command is called from here."""
    return [sys.executable, "-m", "pipeline.cli"]


def wanted(s: Settings) -> list[Wanted]:
    """Every port the stack listens on."""
    ports = [
        Wanted(what="the API", host=s.api.host, port=s.api.port, setting="SLIPWAY_API__PORT"),
        Wanted(what="Flower", host=s.flower.host, port=s.flower.port, setting="SLIPWAY_FLOWER__PORT"),
    ]
    if s.sandbox.url:
        for what, setting, url in (
            ("the sandbox", "SLIPWAY_SANDBOX__URL", s.sandbox.url),
            ("the sandbox's media host", "SLIPWAY_SANDBOX__MEDIA_URL", s.sandbox.media_url),
        ):
            host, port = sandbox.address(setting, url)
            ports.append(Wanted(what=what, host=host, port=port, setting=setting))
    return ports


def origin(host: str, port: int) -> str:
    """Where a browser on this machine finds what listens there."""
    return f"http://{'127.0.0.1' if host in {'0.0.0.0', '::'} else host}:{port}"  # noqa: S104 - compared, not bound


def _status(url: str) -> int | None:
    try:
        return requests.get(url, timeout=2, allow_redirects=False).status_code
    except requests.RequestException:
        return None
