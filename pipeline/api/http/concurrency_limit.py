"""Limit how many operations of one kind run at once, in all and per owner; the excess gets 503 or 429 at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from pipeline.api.http.envelope import RETRY_AFTER, HttpRefusal


class ConcurrencyLimit:
    """Counts operations of one server process. Safe to use from any thread."""

    def __init__(
        self, total: int, *, per_owner: int | None = None, owner: str = "key", operations: str = "requests"
    ) -> None:
        """Without *per_owner* an owner may take the whole limit. *owner* and *operations* word the refusals."""
        self._total, self._per_owner = total, per_owner or total
        self._owner, self._operations = owner, operations
        self._running: dict[UUID | None, int] = {}
        self._count = 0
        self._lock = threading.Lock()

    @contextmanager
    def slot(self, owner: UUID | None) -> Iterator[None]:
        """Hold a slot for the length of a ``with`` block. Raises what `acquire` raises."""
        self.acquire(owner)
        try:
            yield
        finally:
            self.release(owner)

    def acquire(self, owner: UUID | None) -> None:
        """Take a slot. Raises Refusal 503 when all are taken, 429 when this owner has its share."""
        with self._lock:
            if self._count >= self._total:
                raise HttpRefusal(
                    503,
                    "unavailable",
                    f"Too many {self._operations} are in progress. Repeat the request in a moment.",
                )
            running = self._running.get(owner, 0)
            if owner is not None and running >= self._per_owner:
                raise HttpRefusal(
                    429,
                    "rate_limited",
                    f"This {self._owner} has {self._per_owner} {self._operations} in progress already.",
                    headers={"Retry-After": str(RETRY_AFTER)},
                )
            self._running[owner] = running + 1
            self._count += 1

    def release(self, owner: UUID | None) -> None:
        """Give the slot back."""
        with self._lock:
            self._count -= 1
            if left := self._running[owner] - 1:
                self._running[owner] = left
            else:
                del self._running[owner]
