"""The verdict on a delivery, and what the retry policy decides it from: its numbers and the known facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any

from adapters.contract import CheckpointData, Published
from adapters.errors import AdapterError
from pipeline.domain.delivery import Reason, State
from pipeline.domain.hold import Hold


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
    time_limit: timedelta = timedelta(hours=6)
    """How long a platform may be unavailable before a delivery fails."""
    media_time_limit: timedelta = timedelta(hours=6)
    """The same for the host of a media file."""
    rate_time_limit: timedelta = timedelta(days=3)
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
    armed: bool = False
    """The visible call may have been made."""
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


class Outcome(StrEnum):
    """How an attempt ended; an open attempt has none."""

    PUBLISHED = "published"
    REFUSED = "refused"  #: proven not to have acted, before or after arm
    FAILED = "failed"  #: the platform says that it was not published and never will be
    ABSENT = "absent"  #: armed, and proven not to be live
    DECIDED = "decided"  #: an operator decided


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """The decision on the delivery. ``spent``: a try is used up. ``closes``: how the open attempt ends, if it does."""

    state: State
    wait: timedelta = timedelta(0)
    spent: bool = False
    closes: Outcome | None = None
    disarm: bool = False
    """The attempt is proven not to have acted: the delivery is no longer armed."""
    checkpoint: CheckpointData | None = None
    """None keeps the stored one; an empty one starts from scratch."""
    reason: Reason | None = None
    reconnect: bool = False
    refresh: bool = False
    unexpected: bool = False
    """An unexpected error before arm: ``RetryPolicy.crashes`` of these block the delivery for an operator."""
    unavailable: str | None = None
    """The party whose outage this try met: its streak begins or goes on."""
    held: bool = False
    """Nothing was tried: streaks of unavailability go on, and the wait does not count towards the time limit."""
    held_for: Hold | None = None
    """Why nothing was tried, where that is decided on the claimed delivery."""
    uncounted: bool = False
    """The platform could not be asked: this wait does not count towards ``look_limit``, and ``error`` is the look's."""
    published: Published | None = None
    error: AdapterError | None = field(default=None, compare=False)


def hold(
    why: Hold,
    wait: timedelta = timedelta(0),
    *,
    state: State = State.SCHEDULED,
    checkpoint: CheckpointData | None = None,
) -> Verdict:
    """Return the verdict that puts a claimed delivery back unsent; no try is spent."""
    return Verdict(state=state, wait=wait, held=True, held_for=why, checkpoint=checkpoint)
