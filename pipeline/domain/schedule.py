"""Schedule: when a delivery is touched next, and in which slot of time its message is sent."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

IMMEDIATE = timedelta(seconds=30)
"""A due time within this of now, before or after, counts as "now" (HTTP contract)."""


def slot_end(at: datetime, width: timedelta) -> datetime:
    """Return the end of the slot of time that holds *at*; one message is sent then for all that is due in the slot."""
    seconds = width.total_seconds()
    return datetime.fromtimestamp(math.ceil(at.timestamp() / seconds) * seconds, UTC)


def next_at(due_at: datetime, lead: timedelta) -> datetime:
    """Return when work on a delivery may start: its due time, less the platform's lead for preparation."""
    return due_at - lead


def backoff(spent: int, *, base: timedelta, cap: timedelta, chance: float) -> timedelta:
    """Return a pause with full jitter: a random part (*chance*, 0 to 1) of an exponential, capped one, at least 1 s.

    Source: AWS Architecture Blog, "Exponential Backoff And Jitter" (2015).
    """
    ceiling = min(cap, base * int(2 ** min(spent, 20)))
    return max(timedelta(seconds=1), ceiling * chance)


def outage_pause(age: timedelta, *, base: timedelta, cap: timedelta, chance: float) -> timedelta:
    """Return a pause with full jitter in an outage that is *age* old, at least 1 s.

    Its ceiling grows with the age, so it is exponential without a count of tries.
    """
    return max(timedelta(seconds=1), min(cap, base + max(age, timedelta(0))) * chance)


def look_pause(looks: int, first: timedelta, longest: timedelta) -> timedelta:
    """Return the pause before the next look at an unfinished publish; it doubles from *first* to *longest*."""
    return min(longest, first * int(2 ** min(looks, 20)))


def is_immediate(asked: datetime | None, now: datetime) -> bool:
    """Return True if a requested time means "now". Ingest refuses times that are too far in the past."""
    return asked is None or abs(asked - now) <= IMMEDIATE
