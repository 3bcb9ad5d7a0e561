"""Time as a column: when a delivery is touched next, and which slot of time its doorbell belongs to."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

IMMEDIATE = timedelta(seconds=30)
"""A time within this of now, either side, means at once (the contract's word)."""


def slot_end(at: datetime, width: timedelta) -> datetime:
    """The end of the slot of time that holds ``at``: one doorbell rings there for all that is due in it."""
    seconds = width.total_seconds()
    return datetime.fromtimestamp(math.ceil(at.timestamp() / seconds) * seconds, UTC)


def next_at(due_at: datetime, lead: timedelta) -> datetime:
    """When work on a delivery may start: its due time, less what the platform needs to get ready."""
    return due_at - lead


def backoff(spent: int, *, base: timedelta, cap: timedelta, chance: float) -> timedelta:
    """Full jitter: a random part (``chance`` 0..1) of an exponential, capped pause; at least a second.

    Why full jitter: AWS Architecture Blog, "Exponential Backoff And Jitter" (2015).
    """
    ceiling = min(cap, base * int(2 ** min(spent, 20)))
    return max(timedelta(seconds=1), ceiling * chance)


def look_pause(looks: int, first: timedelta, longest: timedelta) -> timedelta:
    """The pause before the next look at an unfinished publish, growing from first to longest."""
    return min(longest, first * int(2 ** min(looks, 20)))


def is_immediate(asked: datetime | None, now: datetime) -> bool:
    """Whether a requested time means at once; raises nothing: a time too far in the past is ingest's to refuse."""
    return asked is None or abs(asked - now) <= IMMEDIATE
