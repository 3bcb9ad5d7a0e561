"""Keeps one service running: restarts it when it ends, with growing pauses, and reports that."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from pipeline.embedded.process import Child, LogReader, read_tail, rotate
from pipeline.embedded.services import Service

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
