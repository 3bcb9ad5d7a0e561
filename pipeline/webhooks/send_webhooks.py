"""Send events to webhooks: claim a webhook, arm a round of events, send them, store what became of them.

Nothing leaves before its try is committed, and no database connection is held while it runs. The events of a round are
of different posts, and the next round begins when this one is stored, so each post's events arrive in order. An event
is sent at least once, always with the same ``webhook-id``.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache, partial

from standardwebhooks import Webhook as Signer

from pipeline.domain.hold import VAULT_PAUSE
from pipeline.domain.notice import Form, build_body
from pipeline.domain.shares import Shares
from pipeline.domain.webhook import (
    DEAD,
    AttemptOutcome,
    PauseReason,
    Tried,
    compute_wait,
    evaluate_status,
    is_deferred,
    parse_retry_after,
)
from pipeline.limits.shared_slots import SharedSlots
from pipeline.media.url_policy import Refused, Unanswered
from pipeline.runtime.context import Context
from pipeline.runtime.failpoint import failpoint
from pipeline.stages.deadline import Deadline
from pipeline.store.vault import VaultError
from pipeline.store.webhooks import rounds
from pipeline.store.webhooks.rounds import ArmedEvent, ClaimedWebhook, Settled
from pipeline.store.webhooks.webhooks import open_secrets
from pipeline.webhooks.send_email import send_email
from pipeline.webhooks.webhooks import pause

log = logging.getLogger("slipway.webhooks")

SECONDS = 10.0
"""For one request in all: look-up, connection, headers and the start of the answer."""
KEEP = 64 * 1024
"""Bytes of an answer that are read."""
SHOWN = 1_000
"""Characters of an answer that is no success that are kept for the webhook's owner."""
ROUND = 8
"""Events that are sent to one webhook at once."""
LEASE = timedelta(seconds=60)
"""The lease of a claim, extended by each round; after half of it nothing is sent any more."""
SLICE, TURN = 15.0, 5.0
"""Seconds after which a sender ends, and after which it leaves a webhook to the next claim."""
MOST = 4
"""Webhooks that one process serves at a time, or a quarter of its threads if that is less; and as many slow ones. The
other threads are for maintenance."""
Sender = Callable[[ArmedEvent], Tried]
_HEADERS = {"Content-Type": "application/json", "User-Agent": "Slipway/0.1 (webhooks)"}


@cache
def _build_lanes(threads: int) -> tuple[SharedSlots[ClaimedWebhook], SharedSlots[ClaimedWebhook]]:
    """Return the slots of this process for webhooks that answer at once, and for slow ones."""
    most = max(1, min(MOST, threads // 4))
    return SharedSlots(most), SharedSlots(most)


def send_webhooks(context: Context) -> int:
    """Serve webhooks with due events for a slice of time, one after the other; return how many events were tried.

    Slow ones come last and have slots of their own, and in both lanes a workspace leaves a slot to others.
    """
    tried, until = 0, time.monotonic() + SLICE
    for is_slow, slots in enumerate(_build_lanes(context.settings.worker.slots)):
        claim = partial(_claim, context, bool(is_slow))
        while time.monotonic() < until and context.may_begin() and (claimed := slots.claim(claim)):
            try:
                failpoint("webhooks.claimed", claimed.id)
                tried += _serve(context, claimed, min(until, time.monotonic() + TURN))
            finally:
                slots.release(claimed)
    return tried


def _claim(context: Context, is_slow: bool, shares: Shares, needs_few: bool) -> ClaimedWebhook | None:
    if needs_few:
        return None
    with context.database.begin() as c:
        return rounds.claim_webhook(c, LEASE, shares, is_slow=is_slow)


def _serve(context: Context, claimed: ClaimedWebhook, until: float) -> int:
    """Send rounds of events until the time is over, or until one was slow: then others have their turn."""
    tried = 0
    with ThreadPoolExecutor(ROUND, thread_name_prefix="webhook") as pool:
        while (began := time.monotonic()) < until and context.may_begin():
            if not (count := _do_round(context, claimed, pool)):
                break
            tried += count
            if time.monotonic() - began > rounds.SLOW_AFTER.total_seconds():
                break
    with context.database.begin() as c:
        rounds.release_webhook(c, claimed)
    return tried


def _do_round(context: Context, claimed: ClaimedWebhook, pool: ThreadPoolExecutor) -> int:
    deadline = Deadline(LEASE / 2)  # taken before the claim is extended
    try:
        post = _choose_sender(context, claimed)
    except VaultError:
        log.exception("the secret of webhook %s does not open", claimed.id)
        with context.database.begin() as c:
            rounds.hold_webhook(c, claimed, VAULT_PAUSE)
        return 0
    with context.database.begin() as c:
        if rounds.has_lost_key(c, claimed):
            pause(c, claimed.id, PauseReason.KEY_REVOKED)
            return 0
        armed = rounds.arm_round(c, claimed, LEASE, ROUND)
    if not armed:
        return 0
    failpoint("webhooks.armed", claimed.id)
    results = [*pool.map(lambda event: _send(claimed, post, event, deadline), armed)]
    failpoint("webhooks.sent", claimed.id)
    with context.database.begin() as c:
        why = rounds.settle_round(c, claimed, [r for r in results if r is not None], DEAD)
        if why is not None:
            pause(c, claimed.id, why)
        failpoint("webhooks.settling", claimed.id)
    failpoint("webhooks.settled", claimed.id)
    return len(armed)


def _choose_sender(context: Context, claimed: ClaimedWebhook) -> Sender:
    """Return what sends to it: events are signed, and notices go to the address that is sealed. Raises VaultError."""
    secrets = open_secrets(context.vault, claimed.id, claimed.secrets, with_earlier=claimed.has_earlier)
    if claimed.form is Form.EVENT:
        return partial(_post, context, claimed.url, secrets)
    if claimed.form is Form.EMAIL:
        return partial(send_email, context.settings.smtp, secrets[0])
    return lambda event: _post(
        context, secrets[0], (), replace(event, body=build_body(claimed.form, event.body))
    )


def _send(claimed: ClaimedWebhook, post: Sender, event: ArmedEvent, deadline: Deadline) -> Settled | None:
    """Send one event. None: the claim may have ended, so nothing was sent; the try stays open."""
    if not deadline.may_send():
        return None
    tried = post(event)
    deferred = is_deferred(tried, event.n - event.tries)
    wait = compute_wait(1 if deferred else event.tries, tried.retry_after, random.random())  # noqa: S311  no secret
    if tried.outcome is not AttemptOutcome.DELIVERED:
        log.info(
            "webhook=%s event=%s type=%s try=%s outcome=%s status=%s next=%s",
            *(claimed.id, event.id, event.type, event.tries, tried.outcome, tried.status or "-"),
            "-" if wait is None else f"{wait.total_seconds():.0f}s",
        )
    return Settled(event=event, tried=tried, wait=wait, deferred=deferred)


def _post(context: Context, url: str, secrets: Sequence[str], event: ArmedEvent) -> Tried:
    headers = {**_HEADERS, **(sign(secrets, str(event.id), event.at, event.body) if secrets else {})}
    try:
        answer = context.receivers.post(url, event.body.encode(), headers, seconds=SECONDS, keep=KEEP)
    except Refused as refused:
        return Tried(outcome=AttemptOutcome.REFUSED, error=refused.reason)
    except Unanswered as unanswered:
        return Tried(outcome=AttemptOutcome.UNANSWERED, error=unanswered.reason)
    outcome = evaluate_status(answer.status)
    if outcome is AttemptOutcome.DELIVERED:
        return Tried(outcome=outcome, status=answer.status)
    return Tried(
        outcome=outcome,
        status=answer.status,
        retry_after=parse_retry_after(answer.retry_after.strip(), event.at) if answer.retry_after else None,
        error=f"HTTP {answer.status}",
        answer=answer.start.decode("utf-8", "replace").replace("\0", "\ufffd")[:SHOWN],
    )


def sign(secrets: Sequence[str], identity: str, at: datetime, body: str) -> dict[str, str]:
    """Return the headers of Standard Webhooks: a signature by each secret, so that either verifies."""
    instant = at.astimezone(UTC)  # the library takes every time for UTC
    return {
        "webhook-id": identity,
        "webhook-timestamp": str(int(instant.timestamp())),
        "webhook-signature": " ".join(Signer(secret).sign(identity, instant, body) for secret in secrets),
    }
