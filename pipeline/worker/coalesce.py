"""Coalesce repeated calls: one run serves every caller that asked before it began."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock

MAX_SHARE = 4
"""A run is followed by a pause of three times its length: runs take at most a quarter of one thread's time."""
MAX_PAUSE = 1.0
"""Seconds; the sweep runs as often, however long a run takes."""


class Coalescer:
    """Runs one call at a time in this process, and drops calls that arrive while another one waits for its turn.

    Slot messages are such calls. Under more load than the workers can take they pile up, and each of them would look
    for due deliveries again and take time from the work itself. The call that waits begins after all the dropped ones
    arrived, so it sees what they were about. If this process dies, the next sweep does the work.
    """

    def __init__(self, work: Callable[[], object]) -> None:
        self._work = work
        self._waiting = Lock()
        self._running = Lock()
        self._free_at = 0.0

    def __call__(self) -> bool:
        """Run the work and return True, or return False if a waiting call does it. Raises what the work raises."""
        if not self._waiting.acquire(blocking=False):
            return False
        try:
            self._running.acquire()
            # the pause limits the rate; the lock above is the synchronisation
            time.sleep(max(0.0, self._free_at - time.monotonic()))
        finally:
            self._waiting.release()  # before the work begins: a later call may be about something it does not see
        try:
            began = time.monotonic()
            self._work()
        finally:
            took = time.monotonic() - began
            self._free_at = time.monotonic() + min(took * (MAX_SHARE - 1), MAX_PAUSE)
            self._running.release()
        return True
