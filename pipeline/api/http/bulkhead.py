"""Run blocking work on a bounded thread pool of its own, so that one kind of work cannot starve another."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count
from queue import PriorityQueue
from typing import Any, TypeVar

from pipeline.api.http.concurrency_limit import ConcurrencyLimit

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
        """Refuse new work, drop what has not started, and wait for what runs."""
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
