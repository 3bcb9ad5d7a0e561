"""Rolling rate limits: at most so many requests in so many seconds."""

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
    """Request times by window name. Windows longer than a minute survive a kill."""

    def __init__(self, clock: Clock, store: Store) -> None:
        """Load the windows in `store`."""
        self._clock = clock
        self._store = store
        self.is_lifted = False
        self._times: dict[str, deque[float]] = {
            name: deque(record["times"]) for name, record in store.get_all(_KIND).items()
        }

    def count_used(self, name: str, span: float) -> int:
        """Return the number of requests in the last `span` seconds."""
        times = self._times.get(name)
        if times is None:
            return 0
        oldest = self._clock.now() - span
        while times and times[0] <= oldest:
            times.popleft()
        return len(times)

    def is_full(self, name: str, limit: int, span: float) -> bool:
        """Return whether the limit is reached; always False while limits are lifted."""
        return not self.is_lifted and self.count_used(name, span) >= limit

    def add(self, name: str, span: float) -> None:
        """Count a request now, unless limits are lifted."""
        if self.is_lifted:
            return
        times = self._times.setdefault(name, deque())
        times.append(self._clock.now())
        if span > MINUTE:
            self._store.put(_KIND, name, {"times": list(times)})

    def take(self, name: str, limit: int, span: float) -> bool:
        """Count a request and return True, or return False if the limit is reached."""
        if self.is_full(name, limit, span):
            return False
        self.add(name, span)
        return True

    def clear(self) -> None:
        """Delete every count."""
        self._times.clear()
