"""The sandbox's clock, and the limits that it measures: rolling windows, and quotas of a calendar day."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from adapters.sandbox.context import SandboxContext
    from adapters.sandbox.store import Store

MINUTE = 60.0
DAY = 86_400.0
_KIND, _DAY_KIND = "window", "day"


class Clock:
    """A clock in Unix seconds whose sleepers wake when it is advanced."""

    def __init__(self, ahead: float = 0.0) -> None:
        """Start `ahead` seconds ahead of the machine's clock."""
        self.ahead = ahead
        self._sleepers: set[asyncio.Future[None]] = set()

    def now(self) -> float:
        """Return the time in Unix seconds."""
        return time.time() + self.ahead

    def advance(self, seconds: float) -> None:
        """Move the time forward and wake the sleepers, which check their deadlines again."""
        self.ahead += seconds
        for sleeper in list(self._sleepers):
            _wake(sleeper)

    async def sleep_until(self, instant: float) -> None:
        """Sleep until `instant` (Unix seconds)."""
        loop = asyncio.get_running_loop()
        while (remaining := instant - self.now()) > 0:
            sleeper = loop.create_future()
            self._sleepers.add(sleeper)
            timer = loop.call_later(remaining, _wake, sleeper)
            try:
                await sleeper
            finally:
                timer.cancel()
                self._sleepers.discard(sleeper)


def _wake(sleeper: asyncio.Future[None]) -> None:
    if not sleeper.done():
        sleeper.set_result(None)


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


class DailyQuota:
    """Usage by name, from 0 each day; survives a kill."""

    def __init__(self, context: SandboxContext, zone: str) -> None:
        """Reset at midnight in `zone` (an IANA name)."""
        self._context = context
        self._zone = ZoneInfo(zone)

    def count_used(self, name: str) -> int:
        """Return today's usage."""
        record = self._context.store.get(_DAY_KIND, name)
        return int(record["used"]) if record is not None and record["day"] == self._today() else 0

    def take(self, name: str, limit: int, cost: int = 1) -> bool:
        """Add `cost` and return True, or return False if it exceeds `limit`. Counts nothing while limits are lifted."""
        if self._context.rate_windows.is_lifted:
            return True
        used = self.count_used(name)
        if used + cost > limit:
            return False
        self._context.store.put(_DAY_KIND, name, {"day": self._today(), "used": used + cost})
        return True

    def _today(self) -> str:
        return datetime.fromtimestamp(self._context.clock.now(), self._zone).date().isoformat()
