"""Log files of the services: rotated by size, and followed for lines that a person should see."""

from __future__ import annotations

import re
import shutil
from collections import deque
from collections.abc import Iterator
from pathlib import Path

MAX_BYTES = 20_000_000
"""Bytes after which a log is rotated; one older file is kept."""
MAX_LINES = 20
"""Lines of one log shown per poll: a service that fails in a loop must not hide the others."""
NOTEWORTHY = re.compile(r"\b(WARNING|ERROR|CRITICAL|FATAL|PANIC|Traceback)\b", re.IGNORECASE)


def rotate(log: Path) -> None:
    """Move the content of a large log to a second file. Its writer appends, so it continues at the new start."""
    if log.is_file() and log.stat().st_size > MAX_BYTES:
        shutil.copyfile(log, log.with_suffix(".log.1"))
        with log.open("r+") as file:
            file.truncate(0)


def read_tail(log: Path, lines: int = 15) -> str:
    """Return the last lines of a log; empty if there is none."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.is_file() else ""


class LogReader:
    """Follows one log from its current end."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._offset = log.stat().st_size if log.is_file() else 0

    def read_lines(self) -> Iterator[str]:
        """Yield the newest complete lines since the last call that report a problem."""
        if not self._log.is_file():
            return
        with self._log.open("rb") as file:
            if file.seek(0, 2) < self._offset:
                self._offset = 0
            file.seek(self._offset)
            whole, newline, _ = file.read().rpartition(b"\n")
        self._offset += len(whole) + len(newline)
        found = deque(
            (line for line in whole.decode(errors="replace").splitlines() if NOTEWORTHY.search(line)),
            MAX_LINES,
        )
        yield from found
