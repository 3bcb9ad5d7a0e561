"""The services of the stack (without engines): what runs, when it is ready, in which order it stops."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import requests

from config.settings import FILE_VARIABLE, Settings
from pipeline.broker.queues import WORKER_GROUPS
from pipeline.embedded import sandbox
from pipeline.embedded.ports import ListenAddress
from pipeline.embedded.process import Program

UNAUTHORIZED = 401
STOP_TIMEOUT = 10.0
"""Seconds for a service without work of its own."""
EXTRA_STOP_TIME = 5.0
"""Seconds beyond SLIPWAY_WORKER__SHUTDOWN or SLIPWAY_API__SHUTDOWN until a service is killed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """One process, restarted when it ends. Services with a lower `stop_order` are stopped first.

    Without a service that `is_required` the stack does not start; any other one may become ready later.
    """

    program: Program
    stop_order: int
    stop_timeout: float = STOP_TIMEOUT
    """Seconds from the stop signal until it is killed."""
    is_ready: Callable[[], bool] = field(default=lambda: True)
    is_required: bool = False

    @property
    def name(self) -> str:
        """Its name in logs and on the terminal."""
        return self.program.name


def sandbox_service(s: Settings, environment: Mapping[str, str]) -> Service | None:
    """Return the sandbox, if it is on. It stops after the workers, which call it until they end."""
    if not s.sandbox.url:
        return None
    program = Program(
        name="sandbox",
        argv=[sys.executable, *sandbox.build_arguments(s)],
        environment={**environment, **sandbox.build_environment(s.sandbox)},
    )
    return Service(
        program=program,
        stop_order=3,
        is_ready=lambda: _get_status(f"{s.sandbox.url}/control/health") is not None,
        is_required=True,
    )


def list_services(
    s: Settings, environment: Mapping[str, str], is_served: Callable[[str], bool]
) -> list[Service]:
    """Return API, beat, one worker per group, and Flower. `is_served`: whether a worker group consumes its queues.

    Beat is optional: the workers send the periodic tasks too.
    """

    def program(name: str, *arguments: str) -> Program:
        return Program(name=name, argv=[*slipway_command(), *arguments], environment=environment)

    stop_timeout = s.worker.shutdown + EXTRA_STOP_TIME
    workers = [
        Service(
            program=program(f"worker-{group}", "worker", group),
            stop_order=1,
            stop_timeout=stop_timeout,
            is_ready=partial(is_served, group),
        )
        for group in WORKER_GROUPS
    ]
    return [
        Service(
            program=program("api", "api"),
            stop_order=2,
            stop_timeout=s.api.shutdown + EXTRA_STOP_TIME,
            is_ready=lambda: _get_status(f"{local_url(s.api.host, s.api.port)}/healthz") == requests.codes.ok,
            is_required=True,
        ),
        Service(program=program("beat", "beat"), stop_order=1),
        *workers,
        Service(
            program=replace(
                program("flower", "flower"), environment=build_flower_environment(s, environment)
            ),
            stop_order=2,
            is_ready=lambda: _get_status(local_url(s.flower.host, s.flower.port)) == UNAUTHORIZED,
        ),
    ]


def build_flower_environment(s: Settings, environment: Mapping[str, str]) -> dict[str, str]:
    """Return what Flower needs, as in docker-compose.yml: it has no vault key and no database."""
    needed = {
        "SLIPWAY_FOLDER": str(s.folder),
        "SLIPWAY_BROKER__URL": s.broker.url.get_secret_value(),
        "SLIPWAY_BROKER__SENTINEL_MASTER": s.broker.sentinel_master,
        "SLIPWAY_FLOWER__HOST": s.flower.host,
        "SLIPWAY_FLOWER__PORT": str(s.flower.port),
        "SLIPWAY_FLOWER__USER": s.flower.user,
        "SLIPWAY_FLOWER__PASSWORD": s.flower.password.get_secret_value(),
        "SLIPWAY_LOG__LEVEL": s.log.level,
        "SLIPWAY_LOG__FORMAT": s.log.format,
    }
    return {
        **environment,
        **needed,
        FILE_VARIABLE: "",
    }  # set, or `slipway` would read the running stack's file


def slipway_command() -> list[str]:
    """Return the command line of `slipway` itself."""
    return [sys.executable, "-m", "pipeline.cli"]


def list_addresses(s: Settings) -> list[ListenAddress]:
    """Return every port that the stack listens on."""
    ports = [
        ListenAddress(what="the API", host=s.api.host, port=s.api.port, setting="SLIPWAY_API__PORT"),
        ListenAddress(what="Flower", host=s.flower.host, port=s.flower.port, setting="SLIPWAY_FLOWER__PORT"),
    ]
    if s.sandbox.url:
        host = None
        for what, setting, url in (
            ("the sandbox", "SLIPWAY_SANDBOX__URL", s.sandbox.url),
            ("the sandbox's media host", "SLIPWAY_SANDBOX__MEDIA_URL", s.sandbox.media_url),
        ):
            own, port = sandbox.parse_address(setting, url)
            host = host or own  # both listen on the first one's
            ports.append(ListenAddress(what=what, host=host, port=port, setting=setting, url=url))
    return ports


def local_url(host: str, port: int) -> str:
    """Return the URL for a browser on this machine."""
    return f"http://{'127.0.0.1' if host in {'0.0.0.0', '::'} else host}:{port}"  # noqa: S104 - compared, not bound


def _get_status(url: str) -> int | None:
    try:
        return requests.get(url, timeout=2, allow_redirects=False).status_code
    except requests.RequestException:
        return None
