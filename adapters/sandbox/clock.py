"""The sandbox's clock: the machine's time plus an offset that tests advance."""

from __future__ import annotations

import asyncio
import time


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

    async def sleep_until(self, moment: float) -> None:
        """Sleep until `moment` (Unix seconds)."""
        loop = asyncio.get_running_loop()
        while (remaining := moment - self.now()) > 0:
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
