"""The parts' logs: kept small, and read along for what a person should see."""

from __future__ import annotations

import re
import shutil
from collections import deque
from collections.abc import Iterator
from pathlib import Path

LARGEST = 20_000_000
"""Bytes after which a log makes room; one older piece is kept."""
SHOWN_AT_ONCE = 20
"""Lines of one log shown between two looks; a part that fails in a loop must not drown the others."""
MATTERS = re.compile(r"\b(WARNING|ERROR|CRITICAL|FATAL|PANIC|Traceback)\b", re.IGNORECASE)


def make_room(log: Path) -> None:
    """Put a log that has grown large aside. Its writer appends, so it goes on at the new beginning."""
    if log.is_file() and log.stat().st_size > LARGEST:
        shutil.copyfile(log, log.with_suffix(".log.1"))
        with log.open("r+") as file:
            file.truncate(0)


class Reader:
    """Follows one log from where it ends now."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._at = log.stat().st_size if log.is_file() else 0

    def lines(self) -> Iterator[str]:
        """The whole lines that came since the last call and matter to a person, the newest few of them."""
        if not self._log.is_file():
            return
        with self._log.open("rb") as file:
            if file.seek(0, 2) < self._at:
                self._at = 0
            file.seek(self._at)
            whole, newline, _ = file.read().rpartition(b"\n")
        self._at += len(whole) + len(newline)
        found = deque(
            (line for line in whole.decode(errors="replace").splitlines() if MATTERS.search(line)),
            SHOWN_AT_ONCE,
        )
        yield from found
