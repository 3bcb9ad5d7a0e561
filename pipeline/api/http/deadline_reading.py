"""Read something of a part that may hang, and give the reading up after a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from pipeline.api.http.bulkhead import Bulkhead

T = TypeVar("T")


class DeadlineReading(Generic[T]):
    """Reads on a thread of *bulkhead*, once at a time: a part that hangs keeps one thread, however often it is asked.

    A frozen PostgreSQL keeps its connections, and the kernel answers their keepalives: only a deadline ends the wait.
    """

    def __init__(self, bulkhead: Bulkhead, read: Callable[[], T], seconds: float) -> None:
        self._bulkhead, self._read, self._seconds = bulkhead, read, seconds
        self._running: asyncio.Future[T] | None = None
        self._is_late = False

    async def read(self) -> T | None:
        """Return what is read, by another caller's reading if one is in progress; None if it takes too long.

        While a late reading goes on, the answer is None at once; what it reads at last is old, and is dropped.
        """
        running = self._running
        if running is None or running.done():
            running = self._running = asyncio.ensure_future(self._bulkhead.run(self._read))
            self._is_late = False
        elif self._is_late:
            return None
        done, _ = await asyncio.wait({running}, timeout=self._seconds)
        if done:
            return running.result()
        self._is_late = True
        return None
