"""Log what a worker did with a delivery: a try that ended in an error, and a hold of more than a minute.

The line is written after the commit, by the process that worked. ``webhooks/count_moves.py`` logs how a delivery ended.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from config.logging import log_event
from pipeline.domain.delivery import State
from pipeline.domain.verdict import Verdict
from pipeline.store.deliveries.claimed import ClaimedDelivery
from pipeline.store.deliveries.error_fields import error_to_dict

log = logging.getLogger("slipway.work")

LONG_HOLD = timedelta(minutes=1)
"""A shorter hold is not logged: many are a second or two."""
EVENTS = {State.FAILED: "refusal", State.BLOCKED: "refusal", State.UNKNOWN: "outcome unknown"}
"""The first words of a line, by the state that an error leads to; those of others, which go on, are ``retry``."""


def log_verdict(claimed: ClaimedDelivery, verdict: Verdict, when: datetime | None) -> None:
    """Log a stored verdict, with ids and classes only. *when*: its ``next_at``; None: the claim was lost."""
    if when is None:
        return
    if verdict.error is not None:
        event = EVENTS.get(verdict.state, "retry")
    elif verdict.held_for is not None and when - claimed.now > LONG_HOLD:
        event = "hold"
    else:
        return
    error = error_to_dict(verdict.error) or {}
    is_final = verdict.state in EVENTS and verdict.state is not State.UNKNOWN
    log_event(
        log,
        logging.INFO,
        event,
        {
            "state": verdict.state,
            "held_for": verdict.held_for,
            "class": error.get("class"),
            "code": error.get("code"),
            "next_at": None if is_final else when.isoformat(timespec="seconds"),
            "platform": claimed.account.platform,
            "delivery": claimed.id,
            "post": claimed.post_id,
            "account": claimed.account_id,
            "workspace": claimed.workspace_id,
            "request_id": claimed.request_id,
        },
    )
