"""Keeps one part running: says when it ended, starts it again, waits longer each time."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from pipeline.embedded.log_files import Reader, make_room
from pipeline.embedded.process import Child
from pipeline.embedded.services import Part

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
STEADY = 60.0
"""Seconds a part has to run for its next end to count as the first."""

Say = Callable[[str, str], None]
"""Says a sentence under a part's name."""


class Watch:
    """One part, its process, and what its log says."""

    def __init__(self, part: Part, folder: Path, say: Say) -> None:
        self.part = part
        self._folder, self._say = folder, say
        self._log = folder / "logs" / f"{part.name}.log"
        self._pause = FIRST_PAUSE
        self._due: float | None = None
        self.child: Child | None = None
        make_room(self._log)
        self._reader = Reader(self._log)
        self.start()

    def start(self) -> None:
        """Start it now."""
        self._due = None
        self._since = time.monotonic()
        self.child = Child(self.part.program, self._folder)

    def look(self) -> None:
        """Pass on what its log says, and start it again when it has ended and its pause is over."""
        for line in self._reader.lines():
            self._say(self.part.name, line)
        make_room(self._log)
        if self._due is not None:
            if time.monotonic() >= self._due:
                self.start()
        elif self.child and (status := self.child.ended()) is not None:
            self._note_end(status)

    def answers(self) -> bool:
        """Whether it runs and does what it is for."""
        return not self.ended() and self.part.answers()

    def ended(self) -> bool:
        """Whether it ended since it was started last."""
        return self.child is None or self.child.ended() is not None

    def ask(self) -> None:
        """Ask it to end; it is not started again."""
        if self.child:
            self.child.ask()

    def end(self) -> None:
        """See that it and all it started are gone; it had its time."""
        if self.child and not self.child.end(0):
            self._say(self.part.name, "had not ended and was killed.")
        self.child = None

    def _note_end(self, status: int) -> None:
        if time.monotonic() - self._since > STEADY:
            self._pause = FIRST_PAUSE
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        self._say(self.part.name, f"{how}; it is started again in {self._pause:g} s. Its log: {self._log}")
        if self.child:
            self.child.end(0)  # what it left of its session
            self.child = None
        self._due = time.monotonic() + self._pause
        self._pause = min(self._pause * 2, LONGEST_PAUSE)
