"""Ends a worker that has gone deaf: its consumer takes nothing although it has a free slot and messages wait.

Consumers have gone silent before without the process ending: celery issues 8030, 8091, 9054 and 10302 (after a
reconnect, some with the threads pool). Whoever starts our processes starts one that ended again; one that hangs is
nobody's business but this thread's. A worker whose slots are all busy is not deaf, however long it takes: what it
does is bounded by its slices.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

log = logging.getLogger("slipway.watchdog")

DEAF = 70
"""Exit status: EX_SOFTWARE of sysexits.h."""
GLANCES = 12
"""How often it looks within the time after which a worker counts as deaf."""


@dataclass(kw_only=True, slots=True)
class Silence:
    """How long there has been something to take, room to take it, and nothing taken. Seconds of a monotonic clock."""

    limit: float
    asleep: float
    """A longer pause between two glances: then this process stood still itself, and nothing is known."""
    since: float | None = None
    glanced: float | None = None
    taken: float = field(default=float("-inf"))

    def heard(self, now: float) -> None:
        """The consumer took a message."""
        self.taken = now

    def deaf(self, now: float, *, room: bool, waiting: bool) -> bool:
        """Whether it has gone on for too long, seen now."""
        stood_still = self.glanced is not None and now - self.glanced > self.asleep
        self.glanced = now
        if stood_still or not room or not waiting:
            self.since = None
            return False
        if self.since is None:
            self.since = now
        return now - max(self.since, self.taken) >= self.limit


class Watchdog(threading.Thread):
    """Outside the pool and the consumer's loop, with a connection of its own."""

    def __init__(self, *, limit: float, room: Callable[[], bool], waiting: Callable[[], bool]) -> None:
        super().__init__(name="watchdog", daemon=True)
        self._pause = limit / GLANCES
        self._silence = Silence(limit=limit, asleep=4 * self._pause + 1)
        self._room, self._waiting = room, waiting
        self._over = threading.Event()

    def heard(self) -> None:
        """The consumer took a message."""
        self._silence.heard(time.monotonic())

    def stop(self) -> None:
        """The worker ends by itself: it takes nothing new on purpose."""
        self._over.set()

    def run(self) -> None:
        """Glances until the worker ends, or ends it."""
        while not self._over.wait(self._pause):
            room, waiting = self._room(), self._waiting()
            if self._silence.deaf(time.monotonic(), room=room, waiting=waiting):
                log.critical(
                    "nothing was taken for %.0f s although messages wait and a slot is free: this worker ends, to be "
                    "started again",
                    self._silence.limit,
                )
                logging.shutdown()
                # what still runs was taken before the silence: longer ago than a slice lasts, or rescued like a crash
                os._exit(DEAF)
