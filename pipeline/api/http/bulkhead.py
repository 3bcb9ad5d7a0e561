"""Run blocking work on a bounded thread pool of its own, so that one kind of work cannot starve another.

Limit how many operations of one kind run at once, in all and per owner; the excess gets 503 or 429 at once.

Read something of a part that may hang, and give the reading up after a deadline.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from queue import PriorityQueue
from typing import Any, Generic, TypeVar

from pipeline.api.http.envelope import HttpRefusal, refuse_too_many


class ConcurrencyLimit:
    """Counts operations of one server process. Safe to use from any thread."""

    def __init__(
        self,
        total: int,
        *,
        per_owner: int | None = None,
        leaves_room: bool = False,
        owner: str = "key",
        operations: str = "requests",
    ) -> None:
        """Without *per_owner* an owner may take the whole limit. *owner* and *operations* word the refusals.

        *leaves_room*: an owner takes another slot only while it has fewer than are free: half of them alone.
        """
        self._total, self._per_owner, self._leaves_room = total, per_owner or total, leaves_room
        self._owner, self._operations = owner, operations
        self._running: dict[Hashable, int] = {}
        self._count = 0
        self._lock = threading.Lock()

    @contextmanager
    def slot(self, owner: Hashable) -> Iterator[None]:
        """Hold a slot for the length of a ``with`` block. Raises what `acquire` raises."""
        self.acquire(owner)
        try:
            yield
        finally:
            self.release(owner)

    def count(self, owner: Hashable) -> int:
        """Return how many slots this owner has."""
        return self._running.get(owner, 0)

    def acquire(self, owner: Hashable) -> int:
        """Take a slot; return how many the owner had. Raises Refusal 503 if all are taken, 429 if it has its share."""
        with self._lock:
            if self._count >= self._total:
                raise HttpRefusal(
                    503,
                    "unavailable",
                    f"Too many {self._operations} are in progress. Repeat the request in a few seconds.",
                )
            running = self._running.get(owner, 0)
            free = self._total - self._count if self._leaves_room else self._total
            if owner is not None and running >= min(self._per_owner, free):
                message = f"This {self._owner} has {running} {self._operations} in progress already."
                raise refuse_too_many(running, message)
            self._running[owner] = running + 1
            self._count += 1
            return running

    def release(self, owner: Hashable) -> None:
        """Give the slot back."""
        with self._lock:
            self._count -= 1
            if left := self._running[owner] - 1:
                self._running[owner] = left
            else:
                del self._running[owner]


T = TypeVar("T")
BEHIND = 1.0
"""Seconds by which each slot that a key has already puts its next work behind that of others."""


class Bulkhead(ConcurrencyLimit):
    """A thread pool with a concurrency limit before it, which counts running and waiting work.

    Work starts in the order of its arrival, that of a key with much in progress later.
    """

    def __init__(
        self,
        name: str,
        *,
        threads: int,
        limit: int,
        per_key: int | None = None,
        owner: str = "key",
        operations: str = "requests",
    ) -> None:
        super().__init__(limit, per_owner=per_key, owner=owner, operations=operations)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._waiting: PriorityQueue[tuple[float, int, Future[Any], Callable[[], Any]]] = PriorityQueue()
        self._arrivals = count()

    async def run(self, work: Callable[[], T], key: Hashable = None) -> T:
        """Run *work* on a thread and return its result. Raises what it raises, and what `acquire` raises.

        The slot is free when the work ends, not when its caller gives up: the thread is busy until then.
        """
        running, future = self.acquire(key), Future[T]()
        future.add_done_callback(lambda _future: self.release(key))
        behind = 0.0 if key is None else BEHIND * running
        self._waiting.put((time.monotonic() + behind, next(self._arrivals), future, work))
        try:
            self._pool.submit(self._run_next)
        except BaseException:
            future.cancel()
            raise
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Refuse new work, drop work that has not started, and wait for running work."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        while not self._waiting.empty():
            self._waiting.get()[2].cancel()

    def _run_next(self) -> None:
        _, _, future, work = self._waiting.get()
        if not future.set_running_or_notify_cancel():
            return
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001  raised where the result is awaited
            future.set_exception(error)
        del future, work  # the traceback of an error refers to this frame


class DeadlineReading(Generic[T]):
    """Reads on a thread of *bulkhead*, once at a time: a part that hangs keeps one thread, however often it is asked.

    A frozen PostgreSQL keeps its connections, and the kernel answers their keepalives: only a deadline ends the wait.
    """

    def __init__(self, bulkhead: Bulkhead, read: Callable[[], T], seconds: float) -> None:
        self._bulkhead, self._read, self._seconds = bulkhead, read, seconds
        self._running: asyncio.Future[T] | None = None
        self._is_late = False

    async def read(self) -> T | None:
        """Return the result of a reading, another caller's if one is in progress; None if it takes too long.

        While a late reading goes on, the answer is None at once; its result would be old, and is dropped.
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
