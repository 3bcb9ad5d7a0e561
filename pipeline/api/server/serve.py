"""`python -m pipeline.api.server.serve APP`, which `slipway api` executes: uvicorn with Slipway's settings.

With several processes, each listens on a socket of its own on the same port (SO_REUSEPORT), and the kernel spreads new
connections over them by their addresses. One shared socket would not spread them: uvloop accepts all that wait as soon
as it wakes, so that of 64 clients that connected together all 64 often met one process (uvloop 0.23, 2026-11-26).

uvicorn's own supervisor is not used, because it shares one socket, and keeps it open while it shuts down (0.54).

Run several equal server processes: replace one that dies, and stop all of them on SIGTERM or SIGINT.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import FrameType

import uvicorn
from uvicorn.config import STARTUP_FAILURE

from config.logging import list_secrets, set_up_logging
from config.settings import Settings, settings
from pipeline.api.http.request_metrics import FOLDER as METRICS_FOLDER
from pipeline.runtime.interpreter import collect_rarely

POLL = 0.1
"""Seconds between two looks at the processes."""
RESTART = 1.0
"""Least seconds between two starts of the same process."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Child:
    process: subprocess.Popen[bytes]
    started_at: float


class Supervisor:
    """Keeps *count* processes of one command running. They share its process group and inherit its output."""

    def __init__(self, command: Sequence[str], count: int, *, fatal: int) -> None:
        """*fatal* is the exit status of a process that could not start: all others would fail in the same way."""
        self._command, self._count, self._fatal = command, count, fatal
        self._stops = False

    def run(self) -> int:
        """Run the processes until a signal or a *fatal* exit. Return the exit status for this process.

        SIGTERM is passed on, and each process is then waited for without a limit: it bounds its shutdown itself.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        children: list[_Child] = []
        status = 0
        try:
            for _ in range(self._count):
                children.append(self._start())  # noqa: PERF401  started ones are stopped if the next one fails
            while not (self._stops or status):
                status = self._replace_dead(children)
                time.sleep(POLL)
        finally:
            for child in children:
                child.process.terminate()
            for child in children:
                child.process.wait()
        return status

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stops = True

    def _start(self) -> _Child:
        return _Child(process=subprocess.Popen(self._command), started_at=time.monotonic())  # noqa: S603  our own command

    def _replace_dead(self, children: list[_Child]) -> int:
        """Start a process for each that ended. Return *fatal* if one could not start, else 0."""
        for n, child in enumerate(children):
            status = child.process.poll()
            if status == self._fatal:
                return status
            if status is not None and time.monotonic() - child.started_at >= RESTART:
                log.warning(
                    "server process %s ended with status %s; it is replaced", child.process.pid, status
                )
                children[n] = self._start()
        return 0


log = logging.getLogger("slipway.api")

KEEP_ALIVE = 75
"""Seconds an idle connection stays open: longer than clients and proxies keep theirs (60 is usual), so that they close
it, and never send a request into a connection that this server is closing."""
PROCESS = "--process"
"""The argument that marks one of several processes."""


def build_config(app: str, s: Settings) -> uvicorn.Config:
    """Translate the settings into uvicorn's."""
    return uvicorn.Config(
        app,
        host=s.api.host,
        port=s.api.port,
        ws="none",
        loop="uvloop",
        http="pipeline.api.server.http_protocol:HttpProtocol",
        proxy_headers=False,
        server_header=False,
        access_log=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=s.api.shutdown,
        log_config=None,  # `main` configures all logging
        log_level=s.log.level.lower(),
    )


def bind(host: str, port: int, *, is_shared: bool) -> socket.socket:
    """Bind without listening: the kernel sends connections only to sockets that listen. Raises OSError."""
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if is_shared:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind((host, port))
    return bound


def main(app: str, role: str = "") -> None:
    """Serve until a signal ends it. *role* is `PROCESS` in one of several processes."""
    signal.signal(signal.SIGTERM, _exit)
    collect_rarely()
    s = settings()
    set_up_logging(s.log, list_secrets(s))
    if s.api.processes == 1:
        uvicorn.Server(build_config(app, s)).run()
    elif role == PROCESS:
        uvicorn.Server(build_config(app, s)).run(sockets=[bind(s.api.host, s.api.port, is_shared=True)])
    else:
        sys.exit(_supervise(app, s))


def _supervise(app: str, s: Settings) -> int:
    try:  # without SO_REUSEPORT: a second server would otherwise take half of the first one's connections
        bind(s.api.host, s.api.port, is_shared=False).close()
    except OSError as error:
        sys.exit(f"Cannot listen on {s.api.host} port {s.api.port}: {error.strerror}.")
    log.info("serving on %s port %s with %s processes", s.api.host, s.api.port, s.api.processes)
    command = [sys.executable, "-m", "pipeline.api.server.serve", app, PROCESS]
    with tempfile.TemporaryDirectory(prefix="slipway-metrics-") as folder:
        os.environ[METRICS_FOLDER] = folder
        return Supervisor(command, s.api.processes, fatal=STARTUP_FAILURE).run()


def _exit(_number: int, _frame: FrameType | None) -> None:
    """Exit with status 0: uvicorn raises the signal again after its shutdown, and before its start nothing runs."""
    sys.exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
