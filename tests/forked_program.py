"""Start Python programs by forking a process that has imported what they need: this saves a second or two of imports.

A program has an environment, streams, session and exit status of its own, as one that was started by exec.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import subprocess
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path

PRELOADED = (
    "pipeline.api.app",
    "uvicorn.server",
    "uvloop",
    "httptools",
    "celery.bin.celery",
    "celery.apps.worker",
    "celery.apps.beat",
    "pipeline.broker.celery_app",
    "pipeline.actions.steer_step",
    "pipeline.imports.step",
    "pipeline.maintenance",
    "pipeline.webhooks.send_webhooks",
    "pipeline.stages.publish",
    "pipeline.stages.reachability",
    "pipeline.stages.status",
    "pipeline.stages.delay",
    "adapters.sandbox.server",
)
"""What reads settings while it is imported cannot be among them: ``pipeline.worker.app`` and the tasks."""
API = ("pipeline.api.server.serve", "pipeline.api.app:app")
"""What `slipway api` becomes."""
ROOT = Path(__file__).parents[1]
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(list(PRELOADED))


class ForkedProgram:
    """A program that was forked, with the methods of a Popen."""

    def __init__(self, process: ForkServerProcess) -> None:
        self._process = process
        assert process.pid is not None
        self.pid = process.pid

    def poll(self) -> int | None:
        """Return the exit status, None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended and return its exit status. Raises TimeoutExpired."""
        self._process.join(timeout)
        if (status := self._process.exitcode) is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        return status

    def send_signal(self, number: int) -> None:
        """Send a signal, if it runs."""
        if self.poll() is None:
            os.kill(self.pid, number)


def start_program(module: str, *words: str, environment: Mapping[str, str], log: Path) -> ForkedProgram:
    """Run ``python -m module words`` in a session of its own; its output is appended to *log*."""
    began, begins = _CONTEXT.Pipe(duplex=False)
    process = _CONTEXT.Process(target=_become, args=([module, *words], dict(environment), str(log), begins))
    process.start()
    begins.close()
    began.recv_bytes()
    began.close()
    return ForkedProgram(process)


def _become(argv: Sequence[str], environment: Mapping[str, str], log: str, begins: Connection) -> None:
    os.setsid()
    os.chdir(ROOT)
    os.environ.clear()
    os.environ.update(environment)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(output, stream)
    begins.send_bytes(b"it has its session and its log")
    begins.close()
    sys.argv = list(argv)
    runpy.run_module(argv[0], run_name="__main__", alter_sys=True)
