"""Settle a delivery: store a verdict, or keep it as a late result if the claim was lost.

No result is thrown away: a late one is stored with its attempt, and proof that the post is live settles the delivery.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from adapters.contract import Published
from config.logging import log_event
from pipeline.domain.delivery import Mover, State
from pipeline.domain.delivery_error import STORAGE
from pipeline.domain.retry_policy import evaluate_conflict
from pipeline.domain.verdict import Verdict
from pipeline.runtime.context import Context
from pipeline.runtime.failpoint import failpoint
from pipeline.stages.delay import dispatch_at
from pipeline.store.accounts.accounts import require_reconnect
from pipeline.store.counters.counters import STORAGE_FAULT, count_alarm
from pipeline.store.deliveries import late_results as late
from pipeline.store.deliveries import settle as store
from pipeline.store.deliveries.claim import ClaimedDelivery, Message
from pipeline.store.deliveries.error_fields import error_to_dict
from pipeline.store.deliveries.ownership import RemoteIdTaken
from pipeline.store.deliveries.settle import Settlement

log = logging.getLogger("slipway.settling")
work_log = logging.getLogger("slipway.work")
"""Tells what a worker did with a delivery; ``webhooks/count_moves.py`` logs how a delivery ended."""

LONG_HOLD = timedelta(minutes=1)
"""A shorter hold is not logged: many are a second or two."""
EVENTS = {State.FAILED: "refusal", State.BLOCKED: "refusal", State.UNKNOWN: "outcome unknown"}
"""The first words of a line, by the state that an error leads to; ``retry`` for states that go on."""


class ClaimLost(Exception):
    """Another worker has claimed the delivery; this one stops working on it."""


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
        work_log,
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


def dispatch_next(context: Context, claimed: ClaimedDelivery, verdict: Verdict, when: datetime) -> None:
    """Dispatch what follows a stored verdict: the delivery itself, or the slot of its ``next_at``."""
    if verdict.state is State.QUEUED:
        context.dispatcher.send_deliveries([Message.of(claimed)])
    elif verdict.state not in (State.PUBLISHED, State.FAILED, State.BLOCKED):
        dispatch_at(context, when, verdict.state)


def is_batchable(one: Settlement) -> bool:
    """Return True if one statement stores it, with no refresh, reconnect or lock of the post before."""
    verdict = one.verdict
    return not (
        verdict.refresh or verdict.reconnect or store.needs_post_lock(one.claimed, verdict, one.claimed.state)
    )


def settle_batch(context: Context, seen: Sequence[Settlement]) -> list[datetime | None]:
    """Store batchable results in one transaction. Return each one's ``next_at``, None where the claim was lost.

    Raises RemoteIdTaken, with nothing stored, if one of them names another delivery's post.
    """
    lease = timedelta(seconds=context.settings.delay.queued_lease)
    with context.database.begin() as c:
        stored = store.settle_batch(c, context.vault, seen, queued_lease=lease)
    for one, when in zip(seen, stored, strict=True):
        log_verdict(one.claimed, one.verdict, when)
    return stored


def settle(
    context: Context,
    claimed: ClaimedDelivery,
    verdict: Verdict,
    mover: Mover,
    *,
    looked: bool = False,
    absent: bool = False,
    not_before: datetime | None = None,
) -> tuple[Verdict, datetime | None]:
    """Store a verdict. Return the verdict that was stored and the delivery's ``next_at``, None if the claim was lost.

    If the live post already belongs to another delivery, the delivery is blocked: an operator decides which one it is.
    """
    queued_lease = timedelta(seconds=context.settings.delay.queued_lease)
    try:
        is_fault = verdict.unavailable == STORAGE
        needs_transaction = (
            is_fault or verdict.reconnect or store.needs_post_lock(claimed, verdict, claimed.state)
        )
        with context.database.begin() if needs_transaction else context.database.once() as c:
            when = store.settle(
                c,
                context.vault,
                claimed,
                verdict,
                mover,
                origin=claimed.state,
                looked=looked,
                absent=absent,
                not_before=not_before,
                queued_lease=queued_lease,
            )
            if verdict.reconnect:
                fields = error_to_dict(verdict.error) or {}
                require_reconnect(c, claimed.account_id, fields, claimed.credentials_version)
            if is_fault:
                count_alarm(c, STORAGE_FAULT)
        if is_fault:
            log.error(
                "ALARM delivery %s waits for the file storage: %s; %s",
                claimed.id,
                verdict.error,
                claimed.trail,
            )
        else:
            log_verdict(claimed, verdict, when)
        return verdict, when
    except RemoteIdTaken:
        if verdict.published is None:
            raise
        conflict = evaluate_conflict(verdict.published)
    log.error("ALARM delivery %s: %s; %s", claimed.id, conflict.error, claimed.trail)
    with context.database.begin() as c:
        count_alarm(c, "remote_id_taken")
    return settle(context, claimed, conflict, mover)


def keep_late_result(context: Context, claimed: ClaimedDelivery, verdict: Verdict, *, armed: bool) -> None:
    """Keep a result whose claim was lost. *armed*: this worker made the visible call; its handle says where to look."""
    failpoint("settling.lost", claimed.id)
    if verdict.published is not None:
        _settle_by_proof(context, claimed, verdict.published)
    elif verdict.checkpoint is not None and armed:
        with context.database.begin() as c:
            late.save_late_handle(c, context.vault, claimed, verdict.checkpoint)
    elif verdict.error is not None:
        with context.database.begin() as c:
            late.save_late_result(c, claimed, {"error": error_to_dict(verdict.error)})
    log.warning(
        "the claim on %s was lost before %s could be stored; %s", claimed.id, verdict.state, claimed.trail
    )


def _settle_by_proof(context: Context, claimed: ClaimedDelivery, live: Published) -> None:
    with context.database.begin() as c:
        proven = late.settle_by_proof(c, claimed, live)
        if proven.alarm:
            count_alarm(c, "late_proof")
    if proven.alarm:
        log.error("ALARM delivery %s: %s; %s", claimed.id, proven.alarm, claimed.trail)
    elif proven.settled:
        log.warning(
            "delivery %s: late proof settled it as %s; %s", claimed.id, State.PUBLISHED, claimed.trail
        )
