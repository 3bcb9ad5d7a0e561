"""What a worker's consumer takes: proof that its queues are consumed, however long a canary waits behind a backlog."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection


class Consumption:
    """Collects the queues that one worker consumes. Thread-safe.

    ``is_full``: whether every slot of the worker is busy. Such a worker takes nothing, but it is at work: all of its
    ``queues`` count as consumed until ``limit`` seconds after its last message, which is longer than work may take.
    """

    def __init__(self, queues: Collection[str], *, is_full: Callable[[], bool], limit: float) -> None:
        self._queues = frozenset(queues)
        self._is_full = is_full
        self._limit = limit
        self._taken: set[str] = set()
        self._taken_at = float("-inf")

    def record_message(self, queue: str) -> None:
        """Record that the consumer took a message from a queue."""
        self._taken.add(queue)
        self._taken_at = time.monotonic()

    def collect(self) -> frozenset[str]:
        """Return the queues consumed since the last call."""
        taken, self._taken = self._taken, set()
        if self._is_full() and time.monotonic() - self._taken_at < self._limit:
            return self._queues
        return self._queues & taken
