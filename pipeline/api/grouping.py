"""Requests that arrive together are worked on together: one thread, which takes whatever waits when it gets free.

A request that comes alone is worked on at once, and while that runs the next group collects. Where the last group had
company, the next one is given a moment more to gather: on a busy machine larger groups cost less for each.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Generic, TypeVar

LINGER = 0.002
"""Seconds that a group of many is waited for."""

Q = TypeVar("Q")
A = TypeVar("A")


class Grouping(Generic[Q, A]):
    """Must be made inside the event loop that will ask it."""

    def __init__(self, name: str, work: Callable[[Sequence[Q]], Sequence[A]], *, most: int) -> None:
        """``work`` gives an answer for each question, in order; what it raises is raised to all who asked."""
        self._work, self._most = work, most
        self._loop = asyncio.get_running_loop()
        self._waiting: SimpleQueue[tuple[Q, asyncio.Future[A]] | None] = SimpleQueue()
        self._closed = False
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def ask(self, question: Q) -> A:
        """The answer, once the group it came into is done. Raises what the work raises."""
        if self._closed:
            raise RuntimeError("Nobody answers any more.")
        future: asyncio.Future[A] = self._loop.create_future()
        self._waiting.put((question, future))
        return await future

    def close(self) -> None:
        """Finishes what was asked, then ends. Not from the event loop, which has to hear the answers."""
        self._closed = True
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        crowd, going = 0, True
        while going:
            group, going = self._next(LINGER if crowd > 1 else 0)
            crowd = len(group)
            if not group:
                continue
            found: Sequence[A] | BaseException
            try:
                found = self._work([question for question, _ in group])
            except BaseException as error:  # noqa: BLE001  it is raised where the question was asked
                found = error
            self._loop.call_soon_threadsafe(_answer, [future for _, future in group], found)

    def _next(self, linger: float) -> tuple[list[tuple[Q, asyncio.Future[A]]], bool]:
        """Waits for one, then takes all that is there; and whether there will be more."""
        group: list[tuple[Q, asyncio.Future[A]]] = []
        one = self._waiting.get()
        if one is not None and linger:
            time.sleep(linger)
        try:
            while one is not None:
                group.append(one)
                if len(group) >= self._most:
                    return group, True
                one = self._waiting.get_nowait()
        except Empty:
            return group, True
        return group, False


def _answer(futures: Sequence[asyncio.Future[A]], found: Sequence[A] | BaseException) -> None:
    for n, future in enumerate(futures):
        if future.done():  # who asked has gone; what was stored stays stored
            continue
        if isinstance(found, BaseException):
            future.set_exception(found)
        else:
            future.set_result(found[n])
