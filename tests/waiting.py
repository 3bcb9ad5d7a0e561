"""Wait for a condition, on a busy machine as on an idle one."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
POLL = 0.05
"""Seconds between two polls."""


def until(
    happens: Callable[[], T | None], seconds: float, why: Callable[[], str] | None = None, poll: float = POLL
) -> T:
    """Poll until *happens* returns a value other than None and False, and return it; else fail with *why*.

    *seconds* are those of an idle machine: where others wait for the processors as well, each counts for less.
    """
    left, last = seconds, time.monotonic()
    while left > 0:
        if (found := happens()) is not None and found is not False:
            return found
        time.sleep(poll)
        now = time.monotonic()
        left, last = left - (now - last) / get_slowness(), now
    raise AssertionError(why() if why else "it did not happen in time")


def get_slowness() -> float:
    """Return how many threads want each processor of this machine, at least one."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
