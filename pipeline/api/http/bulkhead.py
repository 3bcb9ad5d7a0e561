"""Run blocking work on a bounded thread pool of its own, so that one kind of work cannot starve another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar
from uuid import UUID

from pipeline.api.http.concurrency_limit import ConcurrencyLimit

T = TypeVar("T")


class Bulkhead(ConcurrencyLimit):
    """A thread pool with a concurrency limit before it, which counts running and waiting work."""

    def __init__(self, name: str, *, threads: int, limit: int, per_key: int | None = None) -> None:
        super().__init__(limit, per_owner=per_key)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)

    async def run(self, work: Callable[[], T], key: UUID | None = None) -> T:
        """Run *work* on a thread and return its result. Raises what it raises, and what `acquire` raises.

        The slot is free when the work ends, not when its caller gives up: the thread is busy until then.
        """
        self.acquire(key)
        try:
            running = self._pool.submit(work)
        except BaseException:
            self.release(key)
            raise
        running.add_done_callback(lambda _future: self.release(key))
        return await asyncio.wrap_future(running)

    def close(self) -> None:
        """Refuse new work, drop what has not started, and wait for what runs."""
        self._pool.shutdown(wait=True, cancel_futures=True)
