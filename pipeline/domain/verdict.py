"""The verdict on a delivery: what becomes of it after a result or an error, as the retry policy decides it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from adapters.contract import CheckpointData, Published
from adapters.errors import AdapterError
from pipeline.domain.delivery import Reason, State
from pipeline.domain.hold import Hold


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
