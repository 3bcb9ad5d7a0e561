"""Limit how many operations of one kind run at once, in all and per owner; the excess gets 503 or 429 at once."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

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
                    f"Too many {self._operations} are in progress. Repeat the request in a moment.",
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
