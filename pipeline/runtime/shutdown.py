"""The shutdown of a process: how long it may still work, and which claims it gives up when that time is over.

A call that cannot finish in time is not begun (``Context.may_begin``): a slice of work ends at its next safe point,
never between arm and answer. Claims that are still held when the time is over are requeued, so that another process
takes them within seconds instead of waiting for a lease to expire.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta


class ShutdownSignal:
    """The shutdown of this process; any thread may read it.

    Takes no lock: ``begin`` is called by a signal handler.
    """

    def __init__(self) -> None:
        self._end: float | None = None
        self._claims: dict[object, Callable[[], None]] = {}

    def begin(self, seconds: float) -> None:
        """Begin the shutdown: the process may work this many seconds more. Later calls change nothing."""
        if self._end is None:
            self._end = time.monotonic() + seconds

    def time_left(self) -> timedelta | None:
        """Return what remains of the time, zero once it is over; None while no shutdown has begun."""
        return None if self._end is None else timedelta(seconds=max(0.0, self._end - time.monotonic()))

    @contextmanager
    def requeue_on_timeout(self, requeue: Callable[[], None]) -> Iterator[None]:
        """Have ``requeue_claims`` call *requeue* while this context is open.

        *requeue* runs in another thread than the work, so it gives up only claims that are still this process's.
        """
        entry = object()
        self._claims[entry] = requeue
        try:
            yield
        finally:
            del self._claims[entry]

    def requeue_claims(self) -> None:
        """Give up every claim that is still held. Raises Unreachable at the first failure; leases free the rest."""
        for requeue in tuple(self._claims.values()):
            requeue()
