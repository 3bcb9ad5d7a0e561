"""Counts requests against rolling limits: so many in so many seconds."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adapters.sandbox.clock import Clock
    from adapters.sandbox.store import Store

MINUTE = 60.0
DAY = 86_400.0
_KIND = "window"


class RateWindows:
    """Rolling windows by name. Those of a day are kept across a kill, those of a minute are not."""

    def __init__(self, clock: Clock, store: Store) -> None:
        """Start from the day windows that `store` has kept."""
        self._clock = clock
        self._store = store
        self.lifted = False
        self._times: dict[str, deque[float]] = {
            name: deque(record["times"]) for name, record in store.get_all(_KIND).items()
        }

    def count_used(self, name: str, span: float) -> int:
        """How many fell into the last `span` seconds."""
        times = self._times.get(name)
        if times is None:
            return 0
        oldest = self._clock.now() - span
        while times and times[0] <= oldest:
            times.popleft()
        return len(times)

    def is_full(self, name: str, limit: int, span: float) -> bool:
        """Whether one more would be too many. Never, while limits are lifted."""
        return not self.lifted and self.count_used(name, span) >= limit

    def add(self, name: str, span: float) -> None:
        """Count one now. Nothing is counted while limits are lifted."""
        if self.lifted:
            return
        times = self._times.setdefault(name, deque())
        times.append(self._clock.now())
        if span > MINUTE:
            self._store.put(_KIND, name, {"times": list(times)})

    def take(self, name: str, limit: int, span: float) -> bool:
        """Count one if there is room for it; False when there is none."""
        if self.is_full(name, limit, span):
            return False
        self.add(name, span)
        return True

    def clear(self) -> None:
        """Forget every count."""
        self._times.clear()
