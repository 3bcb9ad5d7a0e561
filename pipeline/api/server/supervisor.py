"""Run several equal server processes: replace one that dies, and stop all of them on SIGTERM or SIGINT."""

from __future__ import annotations

import logging
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import FrameType

log = logging.getLogger("slipway.api")

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
                children.append(self._start())  # noqa: PERF401  what has started is stopped if the next one fails
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
