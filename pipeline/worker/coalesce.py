"""Work that is asked for again and again, and of which one run does what all who asked before it began wanted."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock

SHARE = 4
"""A run is followed by a pause, so that it takes a quarter of the time of one thread at the most."""
LONGEST_PAUSE = 1.0
"""Seconds: as often as the sweep, whatever a run takes."""


class Coalesced:
    """One run at a time in this process; who asks while another already waits for its turn need not run at all.

    Doorbells are such work: under a load that is more than the workers can do they pile up, and each would otherwise
    look for what is due once more, and take the time from those that do it. The one that waits begins later than all
    that it stands for came, so it sees what they were about. Dies it, then the sweep does it, as with any lost ring.
    """

    def __init__(self, work: Callable[[], object]) -> None:
        self._work = work
        self._waiting = Lock()
        self._running = Lock()
        self._free_at = 0.0

    def __call__(self) -> bool:
        """Whether it ran; False: somebody else will. Raises what the work raises."""
        if not self._waiting.acquire(blocking=False):
            return False
        try:
            self._running.acquire()
            # a pace, not a synchronisation: the lock above is that
            time.sleep(max(0.0, self._free_at - time.monotonic()))
        finally:
            self._waiting.release()  # before the work begins: who comes now may have something it does not see
        try:
            began = time.monotonic()
            self._work()
        finally:
            took = time.monotonic() - began
            self._free_at = time.monotonic() + min(took * (SHARE - 1), LONGEST_PAUSE)
            self._running.release()
        return True
