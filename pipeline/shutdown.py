"""The end of a process that was told to stop: until when it may still work, and what it has in hand by then.

What can no longer be finished in time is not begun (``Context.may_begin``): a slice ends at its next safe point, never
between arm and answer. What is still under way when the time is over is handed back, so that another process takes it
up in seconds and not when a lease runs out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta


class ShutdownSignal:
    """One per process; any thread may ask. Nothing here waits for a lock: ``begin`` is called by a signal's handler."""

    def __init__(self) -> None:
        self._end: float | None = None
        self._in_hand: dict[object, Callable[[], None]] = {}

    def begin(self, seconds: float) -> None:
        """The process was told to stop and may work so long. The first call counts."""
        if self._end is None:
            self._end = time.monotonic() + seconds

    def left(self) -> timedelta | None:
        """What remains of the time, zero once it is over; None as long as nobody has told it to stop."""
        return None if self._end is None else timedelta(seconds=max(0.0, self._end - time.monotonic()))

    @contextmanager
    def holding(self, hand_back: Callable[[], None]) -> Iterator[None]:
        """While claims are held. ``hand_back`` gives back those that are still the holder's; it may race him."""
        mark = object()
        self._in_hand[mark] = hand_back
        try:
            yield
        finally:
            del self._in_hand[mark]

    def hand_back(self) -> None:
        """Gives back what is in hand. Raises Unreachable at the first that cannot be: the leases do it then."""
        for hand_back in tuple(self._in_hand.values()):
            hand_back()
