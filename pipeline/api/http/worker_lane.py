"""Threads for blocking work, bounded: one kind of work never takes the threads, or the patience, of another."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar
from uuid import UUID

from pipeline.api.http.envelope import RETRY_AFTER, HttpRefusal

T = TypeVar("T")


class Lane:
    """A pool of threads and a short line before it. Whoever finds the line full is told to come again."""

    def __init__(self, name: str, *, threads: int, line: int, per_key: int | None = None) -> None:
        """``line``: how many may be in it, running ones included; ``per_key``: of these, how many of one key."""
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._line, self._per_key = line, per_key or line
        self._inside: Counter[UUID | None] = Counter()
        self._all = 0
        self._lock = threading.Lock()

    async def run(self, work: Callable[[], T], key: UUID | None = None) -> T:
        """Does the work on a thread. Raises what it raises, and Refusal 503 or 429 when the line is full."""
        self.enter(key)
        try:
            running = self._pool.submit(work)
        except BaseException:
            self.leave(key)
            raise
        running.add_done_callback(lambda _done: self.leave(key))
        return await asyncio.wrap_future(running)

    def close(self) -> None:
        """Takes nothing new and waits for what runs."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def enter(self, key: UUID | None) -> None:
        """Takes a place in the line, for work that needs no thread of it, too. Raises Refusal 503 or 429 when full."""
        with self._lock:
            if self._all >= self._line:
                raise HttpRefusal(
                    503, "unavailable", "Too many requests are being worked on. Repeat it in a moment."
                )
            if key is not None and self._inside[key] >= self._per_key:
                raise HttpRefusal(
                    429,
                    "rate_limited",
                    f"This key has {self._per_key} requests under way already.",
                    headers={"Retry-After": str(RETRY_AFTER)},
                )
            self._inside[key] += 1
            self._all += 1

    def leave(self, key: UUID | None) -> None:
        """Gives the place back."""
        with self._lock:
            self._all -= 1
            self._inside[key] -= 1
            if not self._inside[key]:
                del self._inside[key]
