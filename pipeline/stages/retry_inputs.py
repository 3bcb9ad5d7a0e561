"""The inputs of the retry policy: its numbers for a platform, and the state of a claimed delivery."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

from adapters.contract import Capabilities
from adapters.errors import CredentialsExpired
from config.settings import Settings
from pipeline.domain.delivery_error import LAST_LOOK
from pipeline.domain.verdict import RetryPolicy, RetryState
from pipeline.store.deliveries.claim import ClaimedDelivery
from pipeline.store.deliveries.error_fields import find_answer


def build_retry_policy(s: Settings, can: Capabilities) -> RetryPolicy:
    """Return the policy from the settings and the platform's capabilities, with the jitter of this one verdict."""
    return RetryPolicy(
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
        patience=timedelta(seconds=s.publish.patience),
        media_patience=timedelta(seconds=s.publish.media_patience),
        outage_cap=timedelta(seconds=s.publish.outage_cap),
    )


def settle_window(s: Settings, can: Capabilities) -> timedelta:
    """Return how long after a visible call a platform may still show the post for the first time."""
    return timedelta(seconds=s.publish.settle_window) if s.publish.settle_window else can.settle_window


def may_appear_until(armed_deadline: datetime | None, s: Settings, can: Capabilities) -> datetime | None:
    """Return until when a call armed with this deadline may still make a post appear; None if none was armed.

    The call's bytes leave before the deadline, the platform may act as long as the call lasts, and show the post a
    settle window later.
    """
    if armed_deadline is None:
        return None
    return armed_deadline + timedelta(seconds=s.publish.call) + settle_window(s, can)


def look_first(s: Settings, can: Capabilities) -> timedelta:
    """Return the first pause before a look at a post that the platform works on."""
    return timedelta(seconds=s.publish.look_first) if s.publish.look_first else can.look_every[0]


def build_retry_state(claimed: ClaimedDelivery, s: Settings, can: Capabilities) -> RetryState:
    """Return the state of a claimed delivery, by the database's clock at the claim."""
    appears_until = may_appear_until(claimed.armed_deadline, s, can)
    late = appears_until is not None and claimed.now > appears_until
    answer = find_answer(claimed.error)
    left = timedelta(0) if appears_until is None else appears_until - claimed.now
    last = (claimed.error or {}).get(LAST_LOOK, claimed.error) or {}
    return RetryState(
        spent=claimed.spent,
        looks=claimed.looks,
        unexpected_errors=claimed.surprises,
        stale_before=last.get("class") == CredentialsExpired.__name__,
        armed_for=None if claimed.armed_at is None else claimed.now - claimed.armed_at,
        waited=timedelta(0) if claimed.working_since is None else claimed.now - claimed.working_since,
        absent_before=claimed.absent_at is not None,
        late_enough=late,
        may_appear_for=max(left, timedelta(0)),
        unavailable_for={party: claimed.now - since for party, since in claimed.streaks.items()},
        platform_code=answer.get("platform_code"),
        platform_message=answer.get("platform_message"),
        refusal=answer.get("refusal"),
        in_doubt=claimed.in_doubt,
    )
