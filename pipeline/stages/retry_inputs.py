"""The numbers of a platform and the standing of a delivery, as the verdict needs them."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

from adapters.contract import Capabilities
from adapters.errors import CredentialsExpired
from config.settings import Settings
from pipeline.domain.retry_policy import Policy, Standing
from pipeline.store.deliveries.claimed import ClaimedDelivery


def policy_of(s: Settings, can: Capabilities) -> Policy:
    """Ours and the platform's numbers together, with this verdict's roll of the dice."""
    return Policy(
        tries=s.publish.tries,
        backoff=timedelta(seconds=s.publish.backoff),
        cap=timedelta(seconds=s.publish.backoff_cap),
        chance=random.random(),  # noqa: S311  jitter, not a secret
        settle=settle_window(s, can),
        look_first=look_first(s, can),
        look_longest=can.look_every[1],
        asked_cap=look_first(s, can) * 4 if s.publish.look_first else None,
        look_limit=can.look_limit,
        crashes=s.publish.crashes,
    )


def settle_window(s: Settings, can: Capabilities) -> timedelta:
    """How long after a lost answer "not there" proves nothing."""
    return timedelta(seconds=s.publish.settle_window) if s.publish.settle_window else can.settle_window


def may_appear_until(armed_deadline: datetime | None, s: Settings, can: Capabilities) -> datetime | None:
    """When a call that was armed with this deadline can show nothing any more; None where none was armed.

    Its bytes leave before the deadline, the platform may act as long as the call lasts, and show it a settle window
    later.
    """
    if armed_deadline is None:
        return None
    return armed_deadline + timedelta(seconds=s.publish.call) + settle_window(s, can)


def look_first(s: Settings, can: Capabilities) -> timedelta:
    """The first pause before a look at what a platform works on."""
    return timedelta(seconds=s.publish.look_first) if s.publish.look_first else can.look_every[0]


def standing_of(held: ClaimedDelivery, s: Settings, can: Capabilities) -> Standing:
    """Where a held delivery stands, by the database's clock at the claim."""
    appears_until = may_appear_until(held.armed_deadline, s, can)
    late = appears_until is not None and held.now > appears_until
    return Standing(
        spent=held.spent,
        looks=held.looks,
        surprises=held.surprises,
        stale_before=held.error is not None and held.error["class"] == CredentialsExpired.__name__,
        armed_for=None if held.armed_at is None else held.now - held.armed_at,
        waited=timedelta(0) if held.working_since is None else held.now - held.working_since,
        absent_before=held.absent_at is not None,
        late_enough=late,
        in_doubt=held.in_doubt,
    )
