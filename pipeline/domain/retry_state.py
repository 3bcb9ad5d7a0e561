"""The input of the retry policy: its numbers, and the known facts of a delivery."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryPolicy:
    """The numbers of the policy. ``chance``: the random number, 0 to 1, that one verdict needs for its jitter."""

    tries: int
    backoff: timedelta
    cap: timedelta
    chance: float
    settle: timedelta
    """The settle window: how long after the visible call the platform may still show the post for the first time."""
    look_first: timedelta
    look_longest: timedelta
    look_limit: timedelta
    """How long to wait for an unfinished publish."""
    crashes: int = 3
    patience: timedelta = timedelta(hours=6)
    """How long a platform may be unavailable before a delivery fails."""
    media_patience: timedelta = timedelta(hours=6)
    """The same for the host of a media file."""
    rate_patience: timedelta = timedelta(days=3)
    """How long a platform may ask to wait before an operator is asked; it never fails a delivery."""
    outage_cap: timedelta = timedelta(minutes=5)
    """Longest pause between two tries in an outage."""
    asked_cap: timedelta | None = None
    """Longest pause an adapter may ask for; None: no limit. Tests set it, to be fast."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryState:
    """The known facts of the delivery when a result or an error arrives."""

    spent: int = 0
    looks: int = 0
    unexpected_errors: int = 0
    """Unexpected errors before arm so far."""
    stale_before: bool = False
    """The last error of this delivery was an expired token too; it was refreshed since."""
    armed_for: timedelta | None = None
    """Time since arm; None: not armed."""
    waited: timedelta = timedelta(0)
    """Time since the platform began to work on the post."""
    absent_before: bool = False
    """An earlier look that was late enough found nothing."""
    late_enough: bool = False
    """Now is later than the attempt's deadline + one call + the settle window: nothing can appear any more."""
    may_appear_for: timedelta = timedelta(0)
    """How long the call may still make a post appear; zero: no longer, or it is not known."""
    unavailable_for: Mapping[str, timedelta] = field(default_factory=dict)
    """Party -> age of its current streak of unavailability, less the time in which the delivery was held."""
    platform_code: str | None = None
    """The code of the platform's answer to the visible call whose outcome is not known, if it answered."""
    platform_message: str | None = None
    """The sentence of the same answer."""
    refusal: Mapping[str, Any] | None = None
    """The same answer as error fields: the error that the delivery ends with once absence is proven."""
    in_doubt: bool = False
    """The database was restored and may lack a later attempt: its own handle proves no absence."""
