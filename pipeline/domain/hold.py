"""Holds: why a delivery that could go on is not sent now, and when something happens to it next.

A hold that is decided on a claimed delivery is stored with it. The others touch no row: they are facts about a pause, a
circuit breaker, the epoch or the checks, and are derived when a delivery is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from pipeline.domain.delivery import LOOKED_AT, WAITING, State
from pipeline.domain.schedule import IMMEDIATE


class Hold(StrEnum):
    """Why a delivery waits although it is neither settled nor blocked."""

    PREPARED_EARLY = "prepared_early"  #: everything but the visible call is done; that waits for the due time
    RATE = "rate"  #: the platform's limit of calls for the account
    DAILY_QUOTA = "daily_quota"  #: the platform's limit of posts a day for the account, or for our app
    MIN_GAP = "min_gap"  #: the least time between two visible calls for the account
    SLOW_MEDIA = "slow_media"  #: too many media files of the workspace come too slowly
    CONVERTING = "converting"  #: its images wait for memory to be made to fit the platform
    STORAGE = "storage"  #: our own storage of files cannot be used
    SHUTDOWN = "shutdown"  #: its worker had to end
    CHECKING = "checking"  #: its media or music are being checked
    EPOCH = "epoch"  #: nothing may be sent: the epoch is not confirmed
    PAUSED = "paused"  #: a pause holds it
    BREAKER = "breaker"  #: its platform's circuit breaker is open
    BACKLOG = "backlog"  #: it is due, and waits for its turn or for a worker


STORED = frozenset(
    {
        Hold.PREPARED_EARLY,
        Hold.RATE,
        Hold.DAILY_QUOTA,
        Hold.MIN_GAP,
        Hold.SLOW_MEDIA,
        Hold.CONVERTING,
        Hold.STORAGE,
        Hold.SHUTDOWN,
    }
)
"""Holds that are decided on a claimed delivery and kept in its ``held_for``."""
WANTED = frozenset({Hold.RATE, Hold.DAILY_QUOTA, Hold.MIN_GAP, Hold.PAUSED})
"""Holds whose delay is wanted, by an operator or by the limits of a platform. It is no lateness of ours."""
_STANDING = (Hold.EPOCH, Hold.PAUSED, Hold.BREAKER)
"""Holds without a time at which they end, the one that stops most first."""
_TO_SEND = WAITING | {State.QUEUED}


@dataclass(frozen=True, kw_only=True, slots=True)
class StandingHold:
    """A pause, an open circuit breaker, or an epoch that is not confirmed: what holds every delivery of its scope."""

    hold: Hold
    scope: str
    """all, platform, workspace or account."""
    target: str
    """Platform, or id of workspace or account; empty for all."""
    why: str
    since: datetime | None
    next_at: datetime | None
    """When the next probe of a breaker is due."""

    def covers(self, scopes: Mapping[str, str]) -> bool:
        """Return True if a delivery with the targets *scopes* is in its scope."""
        return self.target == scopes.get(self.scope)


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """The columns of a delivery that say whether it waits."""

    state: State
    held_for: Hold | None
    due_at: datetime
    next_at: datetime
    now: datetime

    @property
    def has_begun(self) -> bool:
        """Whether its time, or that of its next step, has come."""
        return min(self.due_at, self.next_at) <= self.now

    @property
    def is_held_by_its_own(self) -> bool:
        """Whether the hold stored with it is the one that counts."""
        return self.held_for is not None and (self.next_at > self.now or self.state is State.QUEUED)

    @property
    def may_be_held_by_others(self) -> bool:
        """Whether a pause, a circuit breaker or the epoch can be what holds it now."""
        return self.state in _TO_SEND and not self.is_held_by_its_own and self.has_begun


def list_scopes(platform: str, workspace: UUID, account: UUID, delivery: UUID | None) -> Mapping[str, str]:
    """Return the scopes that a delivery is in, with its target in each."""
    named = {"workspace": workspace, "account": account, "delivery": delivery}
    return {
        "all": "",
        "platform": platform,
        **{scope: str(target) for scope, target in named.items() if target},
    }


def find_hold(waits: Waiting, standing: Iterable[Hold]) -> Hold | None:
    """Return what holds a delivery now, or None. *standing*: the holds that cover it."""
    if waits.state is State.ACCEPTED:
        return Hold.CHECKING
    if waits.state in LOOKED_AT:
        return waits.held_for
    if waits.state in _TO_SEND and waits.is_held_by_its_own:
        return waits.held_for
    if not waits.may_be_held_by_others:
        return None
    present = frozenset(standing)
    if found := next((hold for hold in _STANDING if hold in present), None):
        return found
    return Hold.BACKLOG if waits.next_at <= waits.now - IMMEDIATE else None


def find_next_at(waits: Waiting, hold: Hold | None) -> datetime | None:
    """Return when the delivery is touched next. None: at once, after a person has acted, or when its hold ends."""
    if waits.state not in WAITING | LOOKED_AT or hold in _STANDING or waits.next_at <= waits.now:
        return None
    return waits.next_at
