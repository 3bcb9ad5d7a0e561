"""A circuit breaker: after a failed call, further calls are refused for some seconds, then one is tried.

It keeps callers from waiting, one after the other, for a broker that does not answer.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from threading import Lock
from typing import TypeVar

from redis.exceptions import RedisError

log = logging.getLogger("slipway.broker")
T = TypeVar("T")

PAUSE = 1.0
"""Seconds between two trial calls while the circuit is open, where no client waits for them."""
REQUEST_PAUSE = 5.0
"""The same where a request waits for the trial."""


class CircuitBreaker:
    """Closed while calls succeed, open after a failure until one succeeds. Thread-safe.

    ``pause``: seconds between two trial calls while it is open.
    """

    def __init__(self, pause: float = PAUSE) -> None:
        self.pause = pause
        self._next_trial: float | None = None
        self._lock = Lock()

    def is_open(self) -> bool:
        """Return True if the last call that ended has failed."""
        return self._next_trial is not None

    def call(self, ask: Callable[[], T]) -> T | None:
        """Return what *ask* returns. Return None if it fails, or while no call may be made."""
        if not self.may_call():
            return None
        try:
            answer = ask()
        except (RedisError, OSError) as error:
            if not self.is_open():
                log.warning("broker unreachable (%s): it is asked again after %g s", error, self.pause)
            self.record_failure()
            return None
        self.record_success()
        return answer

    def may_call(self) -> bool:
        """Return True if a call may be made: always while closed, one per ``pause`` while open."""
        if self._next_trial is None:
            return True
        with self._lock:
            now = time.monotonic()
            if self._next_trial is not None:
                if now < self._next_trial:
                    return False
                self._next_trial = (
                    now + self.pause
                )  # a trial that never ends keeps the next one waiting no longer
            return True

    def record_success(self) -> None:
        """Close the circuit."""
        if self._next_trial is not None:
            with self._lock:
                self._next_trial = None

    def record_failure(self) -> None:
        """Open the circuit, or keep it open for another ``pause``."""
        with self._lock:
            self._next_trial = time.monotonic() + self.pause
