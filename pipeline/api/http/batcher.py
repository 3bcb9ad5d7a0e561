"""Requests that arrive together are worked on together: one thread, which gets whatever waits when it is free.

Nobody is kept waiting for company that is not there: a group leaves once the event loop has nothing more to read. While
one group is worked on, the next one collects; on a busy machine groups grow, and cost less for each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from threading import Thread
from typing import Generic, TypeVar

CALM = 4
"""Turns of the event loop in a row that bring nobody more, after which a group leaves: microseconds in calm."""

Q = TypeVar("Q")
A = TypeVar("A")


class Grouping(Generic[Q, A]):
    """Must be made inside the event loop that will ask it."""

    def __init__(self, name: str, work: Callable[[Sequence[Q]], Sequence[A]], *, most: int) -> None:
        """``work`` gives an answer for each question, in order; what it raises is raised to all who asked."""
        self._work, self._most = work, most
        self._loop = asyncio.get_running_loop()
        self._waiting: list[tuple[Q, asyncio.Future[A]]] = []
        self._groups: SimpleQueue[list[tuple[Q, asyncio.Future[A]]] | None] = SimpleQueue()
        self._busy = self._closed = False
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def ask(self, question: Q) -> A:
        """The answer, once the group it came into is done. Raises what the work raises."""
        if self._closed:
            raise RuntimeError("Nobody answers any more.")
        future: asyncio.Future[A] = self._loop.create_future()
        self._waiting.append((question, future))
        if not self._busy:
            self._busy = True
            self._gather(0, CALM)
        return await future

    def close(self) -> None:
        """Finishes what was asked, then ends. Not from the event loop, which has to hear the answers."""
        self._loop.call_soon_threadsafe(self._end)
        self._thread.join()

    def _end(self) -> None:
        self._closed = True
        if not self._busy:
            self._groups.put(None)

    def _gather(self, before: int, turns: int) -> None:
        """Until that many turns brought nobody more, or the group is full."""
        now = len(self._waiting)
        left = CALM if now > before else turns - 1
        if left and now < self._most:
            self._loop.call_soon(self._gather, now, left)
            return
        self._groups.put(self._waiting[: self._most])
        del self._waiting[: self._most]

    def _run(self) -> None:
        while (group := self._groups.get()) is not None:
            found: Sequence[A] | BaseException
            try:
                found = self._work([question for question, _ in group])
            except BaseException as error:  # noqa: BLE001  it is raised where the question was asked
                found = error
            self._loop.call_soon_threadsafe(self._answer, [future for _, future in group], found)

    def _answer(self, futures: Sequence[asyncio.Future[A]], found: Sequence[A] | BaseException) -> None:
        for n, future in enumerate(futures):
            if future.done():  # who asked has gone; what was stored stays stored
                continue
            if isinstance(found, BaseException):
                future.set_exception(found)
            else:
                future.set_result(found[n])
        self._busy = bool(self._waiting)
        if self._busy:
            self._gather(0, CALM)
        elif self._closed:
            self._groups.put(None)
