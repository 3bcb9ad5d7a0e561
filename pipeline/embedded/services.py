"""The services of the stack (without engines): their ports, what runs, when it is ready, in which order it stops.

A service that ends is restarted, with growing pauses. A port that is taken is named with its owner and the setting that
moves it.
"""

from __future__ import annotations

import errno
import socket
import sys
import time
from collections.abc import Callable, Container, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import requests

from config.settings import FILE_VARIABLE, Settings
from pipeline.broker.queues import WORKER_GROUPS
from pipeline.embedded import sandbox
from pipeline.embedded.process import Child, LogReader, Program, read_tail, rotate


@dataclass(frozen=True, kw_only=True, slots=True)
class ListenAddress:
    """A port that a service will listen on, and the setting that changes it."""

    what: str
    host: str
    port: int
    setting: str
    url: str = ""
    """The present value of ``setting``, if that is a URL and no port."""

    def write_port(self, port: int) -> str:
        """Return the assignment that moves the service to a port."""
        return f"{self.setting}={self._move(f':{port}') if self.url else port}"

    def write_loopback(self) -> str:
        """Return the assignment that moves the service to the loopback address."""
        if self.url:
            return f"{self.setting}={self._move(f'{LOOPBACK}:{self.port}')}"
        return f"{self.setting.replace('__PORT', '__HOST')}={LOOPBACK}"

    def _move(self, address: str) -> str:
        parts = urlsplit(self.url)
        host, _, port = address.rpartition(":")
        return parts._replace(netloc=f"{host or parts.netloc.rpartition(':')[0]}:{port}").geturl()


LOOPBACK = "127.0.0.1"
WILDCARDS = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared, not bound
_PORT_ERRORS = frozenset({errno.EADDRINUSE, errno.EACCES})
"""Errors that another port mends; any other error is the host's."""


def find_conflicts(addresses: list[ListenAddress], find_place: Callable[[str], str]) -> list[str]:
    """Return a sentence for each port that is not available, or that two services would use, with what mends it.

    *find_place*: names where the value of a setting comes from.
    """
    conflicts: list[str] = []
    used, wrong_hosts = {one.port for one in addresses}, set[str]()
    for n, one in enumerate(addresses):
        other = next((o for o in addresses[:n] if _overlap(o, one)), None)
        error = None if other else _try_to_listen(one)
        if (other is None and error is None) or one.host in wrong_hosts:
            continue
        if error is None or error.errno in _PORT_ERRORS:
            used.add(free := _find_free(one, used))
            remedy = one.write_port(free)
        else:  # of two that listen on one host, the first one's setting has it
            wrong_hosts.add(one.host)
            remedy = one.write_loopback()
        place = find_place(remedy.partition("=")[0])
        conflicts.append(f"{_explain(one, other, error)} Set {remedy} in {place}.")
    return conflicts


def _explain(one: ListenAddress, other: ListenAddress | None, error: OSError | None) -> str:
    if other is not None:
        return f"{one.what} and {other.what} both use port {one.port}."
    if error is not None and error.errno == errno.EADDRINUSE:
        return f"Port {one.port} ({one.what}) is taken{_describe_owner(one.port)}."
    return f"{one.what} cannot listen on {one.host}:{one.port}: {getattr(error, 'strerror', None) or error}."


def _overlap(one: ListenAddress, other: ListenAddress) -> bool:
    hosts = {one.host, other.host}
    return one.port == other.port and (len(hosts) == 1 or bool(hosts & WILDCARDS))


def _find_free(one: ListenAddress, used: Container[int]) -> int:
    """Return the next port that nothing uses, above first."""
    ports = chain(range(one.port + 1, 65_536), range(1_024, one.port))
    return next(
        port for port in ports if port not in used and _try_to_listen(replace(one, port=port)) is None
    )


def _try_to_listen(one: ListenAddress) -> OSError | None:
    """Return why a service could not listen."""
    try:
        found = socket.getaddrinfo(one.host, one.port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as probe:
            # As servers do: a port with connections in TIME_WAIT is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return error
    return None


def _describe_owner(port: int) -> str:
    """Return the process that listens on the port, if this user may see it."""
    with suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,) and connection.pid:
                process = psutil.Process(connection.pid)
                command = " ".join(process.cmdline())[:80] or process.name()
                return f" by process {process.pid} ({command})"
    return ""


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
    """Return API, worker and Flower. `is_served`: whether a worker group's queues are consumed.

    One worker process serves all groups, as each process takes 100 MB. It sends the periodic tasks too: beat would only
    be one more process.
    """

    def program(name: str, *arguments: str) -> Program:
        return Program(name=name, argv=[*slipway_command(), *arguments], environment=environment)

    pool = {"SLIPWAY_STORE__POOL": str(s.store.pool * len(WORKER_GROUPS))}
    return [
        Service(
            program=program("api", "api"),
            stop_order=2,
            stop_timeout=s.api.shutdown + EXTRA_STOP_TIME,
            is_ready=lambda: _get_status(f"{local_url(s.api.host, s.api.port)}/healthz") == requests.codes.ok,
            is_required=True,
        ),
        Service(
            program=replace(program("worker", "worker", *WORKER_GROUPS), environment={**environment, **pool}),
            stop_order=1,
            stop_timeout=s.worker.shutdown + EXTRA_STOP_TIME,
            is_ready=lambda: all(map(is_served, WORKER_GROUPS)),
        ),
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


FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
STEADY_SECONDS = 60.0
"""Seconds of running after which the pause before the next restart is the first one again."""

PrintLine = Callable[[str, str], None]
"""(name of the service, sentence) -> prints a line."""


class SupervisedService:
    """One service, its process and its log. `ends`: how often it ended since it last ran for STEADY_SECONDS."""

    def __init__(self, spec: Service, folder: Path, print_line: PrintLine) -> None:
        self.spec = spec
        self._folder, self._print_line = folder, print_line
        self._log = folder / "logs" / f"{spec.name}.log"
        self._pause = FIRST_PAUSE
        self.ends = 0
        self._restart_at: float | None = None
        self.child: Child | None = None
        rotate(self._log)
        self._reader = LogReader(self._log)
        self.start()

    def start(self) -> None:
        """Start the service now."""
        self._restart_at = None
        self._started_at = time.monotonic()
        self.child = Child(self.spec.program, self._folder)

    def poll(self) -> None:
        """Print new problems from its log; restart the service if it has ended and the pause is over."""
        for line in self._reader.read_lines():
            self._print_line(self.spec.name, line)
        rotate(self._log)
        if self._restart_at is not None:
            if time.monotonic() >= self._restart_at:
                self.start()
        elif self.child and (status := self.child.exit_status()) is not None:
            self._handle_end(status)

    def is_ready(self) -> bool:
        """Return True if it runs and answers."""
        return not self.has_ended() and self.spec.is_ready()

    def has_ended(self) -> bool:
        """Return True if it is not running."""
        return self.child is None or self.child.exit_status() is not None

    def read_log_tail(self) -> str:
        """Return the last lines of its log."""
        return read_tail(self._log)

    def request_stop(self) -> None:
        """Send the stop signal. It is not restarted after this."""
        if self.child:
            self.child.request_stop()

    def stop(self) -> None:
        """Kill what still runs of it."""
        if self.child and not self.child.stop(0):
            self._print_line(self.spec.name, "did not stop in time and was killed.")
        self.child = None

    def _handle_end(self, status: int) -> None:
        if time.monotonic() - self._started_at > STEADY_SECONDS:
            self._pause, self.ends = FIRST_PAUSE, 0
        self.ends += 1
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        where = (
            f"Its log, {self._log}, ends: {read_tail(self._log, 1)}"
            if status > 0
            else f"Its log: {self._log}"
        )
        self._print_line(self.spec.name, f"{how}; it is restarted in {self._pause:g} s. {where}")
        if self.child:
            self.child.stop(0)  # the rest of its session
            self.child = None
        self._restart_at = time.monotonic() + self._pause
        self._pause = min(self._pause * 2, LONGEST_PAUSE)
