"""Batch requests that arrive together, and process one batch after another on one thread.

A batch closes as soon as the event loop has nothing more to read, so a single request does not wait for others. While
one batch is processed, the next one fills: batches grow with the load, and each request in them costs less.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from threading import Thread
from typing import Generic, TypeVar

IDLE_TURNS = 4
"""A batch closes after so many turns of the event loop in a row without a new item: microseconds when it is idle."""

Q = TypeVar("Q")
A = TypeVar("A")


class Batcher(Generic[Q, A]):
    """A queue of items in front of a function that processes many at once. Create it inside the event loop."""

    def __init__(self, name: str, process: Callable[[Sequence[Q]], Sequence[A]], *, max_batch: int) -> None:
        """*process* returns one result per item, in order; its exception is raised to every caller of the batch."""
        self._process, self._max_batch = process, max_batch
        self._loop = asyncio.get_running_loop()
        self._waiting: list[tuple[Q, asyncio.Future[A]]] = []
        self._batches: SimpleQueue[list[tuple[Q, asyncio.Future[A]]] | None] = SimpleQueue()
        self._is_busy = self._is_closed = False
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def submit(self, item: Q) -> A:
        """Return the item's result once its batch is done. Raises what *process* raises."""
        if self._is_closed:
            raise RuntimeError("The batcher is closed.")
        future: asyncio.Future[A] = self._loop.create_future()
        self._waiting.append((item, future))
        if not self._is_busy:
            self._is_busy = True
            self._collect(0, IDLE_TURNS)
        return await future

    def close(self) -> None:
        """Process the submitted items, then stop. Call it from another thread: the event loop delivers the results."""
        self._loop.call_soon_threadsafe(self._stop)
        self._thread.join()

    def _stop(self) -> None:
        self._is_closed = True
        if not self._is_busy:
            self._batches.put(None)

    def _collect(self, before: int, turns: int) -> None:
        """Wait until *turns* turns of the loop bring no new item, or the batch is full; then send it."""
        now = len(self._waiting)
        left = IDLE_TURNS if now > before else turns - 1
        if left and now < self._max_batch:
            self._loop.call_soon(self._collect, now, left)
            return
        self._batches.put(self._waiting[: self._max_batch])
        del self._waiting[: self._max_batch]

    def _run(self) -> None:
        while (batch := self._batches.get()) is not None:
            results: Sequence[A] | BaseException
            try:
                results = self._process([item for item, _ in batch])
            except BaseException as error:  # noqa: BLE001  raised again in `submit`
                results = error
            self._loop.call_soon_threadsafe(self._deliver, [future for _, future in batch], results)

    def _deliver(self, futures: Sequence[asyncio.Future[A]], results: Sequence[A] | BaseException) -> None:
        for n, future in enumerate(futures):
            if future.done():  # its caller gave up; the stored rows stay
                continue
            if isinstance(results, BaseException):
                future.set_exception(results)
            else:
                future.set_result(results[n])
        self._is_busy = bool(self._waiting)
        if self._is_busy:
            self._collect(0, IDLE_TURNS)
        elif self._is_closed:
            self._batches.put(None)
