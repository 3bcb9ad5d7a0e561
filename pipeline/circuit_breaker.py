"""A circuit breaker: after a failed call, further calls are refused for a moment, then one is tried.

It keeps callers from waiting, one after the other, for a service that does not answer.
"""

from __future__ import annotations

import time
from threading import Lock

PAUSE = 1.0
"""Seconds between two trial calls while the circuit is open."""


class CircuitBreaker:
    """Closed while calls succeed, open after a failure until one succeeds. Thread-safe."""

    def __init__(self) -> None:
        self._next_trial: float | None = None
        self._lock = Lock()

    def is_open(self) -> bool:
        """Return True if the last call that ended has failed."""
        return self._next_trial is not None

    def may_call(self) -> bool:
        """Return True if a call may be made: always while closed, one per ``PAUSE`` while open."""
        if self._next_trial is None:
            return True
        with self._lock:
            now = time.monotonic()
            if self._next_trial is not None:
                if now < self._next_trial:
                    return False
                self._next_trial = now + PAUSE  # a trial that never ends keeps the next one waiting no longer
            return True

    def record_success(self) -> None:
        """Close the circuit."""
        if self._next_trial is not None:
            with self._lock:
                self._next_trial = None

    def record_failure(self) -> None:
        """Open the circuit, or keep it open for another ``PAUSE``."""
        with self._lock:
            self._next_trial = time.monotonic() + PAUSE
