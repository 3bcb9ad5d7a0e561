"""Holds: why a delivery that could go on is not sent now, and when something happens to it next.

A hold that is decided on a claimed delivery is stored with it. The others touch no row: they are facts about a pause,
the level of the workers, a circuit breaker, the epoch or the checks. ``store/deliveries/holds.py`` derives them when a
delivery is read, and decides which of several is shown.

Pauses: what can be paused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Literal
from uuid import UUID

Scope = Literal["all", "platform", "workspace", "account"]
SCOPES: Final[tuple[Scope, ...]] = ("all", "platform", "workspace", "account")
BREAKER: Final = "breaker"
"""The scope of a platform's open circuit breaker; the system opens it, and an operator can only close it."""
LiftedScope = Scope | Literal["breaker"]
EVERYWHERE: Final = frozenset({"all", "platform", BREAKER})
"""Scopes that concern every workspace."""
VAULT_PAUSE = timedelta(minutes=1)
"""How long a delivery waits whose secrets do not open; then they are tried once more."""


class Hold(StrEnum):
    """Why a delivery waits although it is neither settled nor blocked."""

    PREPARED_EARLY = "prepared_early"  #: everything but the visible call is done; that waits for the due time
    RATE = "rate"  #: the platform's limit of calls for the account
    DAILY_QUOTA = "daily_quota"  #: the platform's limit of posts a day for the account, or for our app
    MIN_GAP = "min_gap"  #: the least time between two visible calls for the account
    SLOW_MEDIA = "slow_media"  #: too many media files of the workspace come too slowly
    CONVERTING = "converting"  #: its images wait for memory to be made to fit the platform
    STORAGE = "storage"  #: our own storage of files cannot be used
    VAULT = "vault"  #: no key of the vault opens the credentials of its account
    SHUTDOWN = "shutdown"  #: its worker had to end
    CHECKING = "checking"  #: its media or music are being checked
    EPOCH = "epoch"  #: nothing may be sent: the epoch is not confirmed
    LOCKED = "locked"  #: its workspace is locked, for a leaked key: a pause that only an unlock lifts
    PAUSED = "paused"  #: a pause holds it
    APPROVAL = "approval"  #: it was not approved as it is now
    NEWER_WORKER = "newer_worker"  #: no running worker understands all of its post (``level.py``)
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
        Hold.VAULT,
        Hold.SHUTDOWN,
    }
)
"""Holds that are decided on a claimed delivery and kept in its ``held_for``."""
LIMITS = frozenset({Hold.RATE, Hold.DAILY_QUOTA, Hold.MIN_GAP})
"""Limits of a platform. They end by themselves."""
INTENDED = LIMITS | {Hold.LOCKED, Hold.PAUSED, Hold.APPROVAL}
"""Holds whose delay is intended, by an operator, an approver or the limits of a platform. It is no lateness of ours."""
DERIVED = frozenset({Hold.LOCKED, Hold.PAUSED, Hold.APPROVAL, Hold.NEWER_WORKER, Hold.EPOCH, Hold.BREAKER})
"""Holds of a ``DerivedHold``: none of them has a time at which it ends."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DerivedHold:
    """A pause or lock, the lack of an approval or of a newer worker, an open breaker, or an epoch not confirmed.

    It holds every delivery of its scope.
    """

    hold: Hold
    scope: str
    """all, platform, workspace, account or delivery."""
    target: str
    """Platform, or id of workspace, account or delivery; empty for all."""
    why: str
    since: datetime | None
    next_at: datetime | None
    """When the next probe of a breaker is due."""

    def covers(self, scopes: Mapping[str, str]) -> bool:
        """Return True if a delivery with the targets *scopes* is in its scope."""
        return self.target == scopes.get(self.scope)


def list_scopes(platform: str, workspace: UUID, account: UUID, delivery: UUID | None) -> Mapping[str, str]:
    """Return the scopes that a delivery is in, with its target in each."""
    named = {"workspace": workspace, "account": account, "delivery": delivery}
    return {
        "all": "",
        "platform": platform,
        **{scope: str(target) for scope, target in named.items() if target},
    }
