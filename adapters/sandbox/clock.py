"""The sandbox's time: the machine's, plus what a test has moved it forward by."""

from __future__ import annotations

import asyncio
import time


class Clock:
    """Tells the time in Unix seconds and wakes who waits for a moment of it."""

    def __init__(self, ahead: float = 0.0) -> None:
        """Run `ahead` seconds before the machine's clock."""
        self.ahead = ahead
        self._sleepers: set[asyncio.Future[None]] = set()

    def now(self) -> float:
        """Unix seconds."""
        return time.time() + self.ahead

    def advance(self, seconds: float) -> None:
        """Jump forward and wake everybody whose moment has come."""
        self.ahead += seconds
        for sleeper in list(self._sleepers):
            _wake(sleeper)

    async def sleep_until(self, moment: float) -> None:
        """Wait until `moment` (Unix seconds)."""
        loop = asyncio.get_running_loop()
        while (rest := moment - self.now()) > 0:
            sleeper = loop.create_future()
            self._sleepers.add(sleeper)
            timer = loop.call_later(rest, _wake, sleeper)
            try:
                await sleeper
            finally:
                timer.cancel()
                self._sleepers.discard(sleeper)


def _wake(sleeper: asyncio.Future[None]) -> None:
    if not sleeper.done():
        sleeper.set_result(None)
