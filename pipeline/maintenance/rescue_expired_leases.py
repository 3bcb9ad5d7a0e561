"""Rescue the deliveries of dead workers, and dispatch rows again whose message was lost: deliveries, checks, jobs.

- Queued and never claimed: dispatched again when its lease expires, or within seconds if its queue is empty or the
  broker has lost all of its data.
- Publishing and not armed: nothing was sent. Queued again, and the crash is counted; after too many it is blocked for
  an operator, with its evidence.
- Publishing and armed: unknown, looked at.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta

from redis.exceptions import RedisError

from adapters.contract import Platform
from adapters.errors import AdapterError, OutcomeUnknown
from pipeline.broker.queues import PUBLISH, REACHABILITY, STATUS
from pipeline.domain.delivery import Reason, State
from pipeline.maintenance.rebuild_broker import BrokerUnreachable, rebuild_broker
from pipeline.runtime.context import Context
from pipeline.runtime.failpoint import failpoint
from pipeline.stages.delay import dispatch_all
from pipeline.stages.platform_limits import look_first
from pipeline.stages.reachability import advance_post
from pipeline.store.checks.checks import free_expired_slots, list_due_checks
from pipeline.store.deliveries.claim import Message
from pipeline.store.deliveries.lease import (
    ExpiredLease,
    Rescue,
    list_expired_leases,
    redispatch_lost,
    redispatch_lost_looks,
    rescue,
    resume_reconnected,
)
from pipeline.store.imports import imports
from pipeline.store.jobs import list_unclaimed
from pipeline.store.posts.pins import list_stranded
from pipeline.store.steering import jobs as steering

log = logging.getLogger("slipway.upkeep")

DELIVERIES, BLOCKED, POSTS, JOBS = 500, 200, 500, 100
"""The number of each that one transaction, or run, takes."""
REFILL_RATE = 10_000.0
"""Messages per second into an empty broker: no limit in practice."""


def rescue_expired_leases(context: Context) -> int:
    """Return how many deliveries were dispatched again or rescued."""
    lease = timedelta(seconds=context.settings.delay.queued_lease)
    dispatched = _refill_broker(context)
    empty = context.liveness.list_empty([*PUBLISH.values(), STATUS])
    dispatched += _redispatch_deliveries(
        context, lease, [p for p, queue in PUBLISH.items() if queue in empty]
    )
    if STATUS in empty:
        dispatched += _redispatch_looks(context, lease)
    with context.database.begin() as c:
        expired = list_expired_leases(c, DELIVERIES)
    for one in expired:
        _rescue(context, one, lease)
    return dispatched + len(expired)


def _refill_broker(context: Context) -> int:
    """Dispatch everything again if the broker has lost its marker, and with it every message.

    The marker is set last: after a crash before it, everything is dispatched once more.
    """
    if context.liveness.has_marker():
        return 0
    try:
        dispatched = rebuild_broker(context, per_second=REFILL_RATE, on_progress=lambda _: None)
        failpoint("rescue.refilled")
        context.liveness.set_marker()
    except (BrokerUnreachable, RedisError) as error:
        log.warning("the broker has lost its data and is unreachable again: %s", error)
        return 0
    total = dispatched.deliveries + dispatched.looks + dispatched.checks
    # a new broker is empty too: no reason for a warning
    level = logging.WARNING if total else logging.INFO
    log.log(level, "the broker had lost its data; dispatched again: %s", dispatched)
    return total


def _redispatch_deliveries(context: Context, lease: timedelta, empty: Sequence[str]) -> int:
    """Dispatch all lost deliveries. *empty*: the platforms whose queue was empty before this run."""

    def take() -> list[Message]:
        with context.database.begin() as c:
            lost = redispatch_lost(c, DELIVERIES, lease, empty=empty)
        if lost:
            failpoint("rescue.found", *(message.delivery for message in lost))
        return lost

    return dispatch_all(take, context.dispatcher.send_deliveries, DELIVERIES)


def _redispatch_looks(context: Context, lease: timedelta) -> int:
    held = timedelta(seconds=context.settings.publish.lease)

    def take() -> list[Message]:
        with context.database.begin() as c:
            looks = redispatch_lost_looks(c, DELIVERIES, lease, claim_lease=held)
        if looks:
            failpoint("rescue.looks-found", *(message.delivery for message in looks))
        return looks

    return dispatch_all(take, context.dispatcher.send_looks, DELIVERIES)


def _rescue(context: Context, one: ExpiredLease, lease: timedelta) -> None:
    outcome = _choose_outcome(context, one)
    with context.database.begin() as c:
        fence = rescue(c, one, outcome, lease)
    if fence is None:
        return
    failpoint("rescue.moved", one.id)
    log.warning(
        "delivery %s: %s; now %s; post=%s request_id=%s",
        *(one.id, outcome.why, outcome.target, one.post_id, one.request_id or "-"),
    )
    if outcome.target is State.QUEUED:
        context.dispatcher.send_deliveries(
            [Message(delivery=one.id, platform=one.platform, generation=one.generation, fence=fence)]
        )


def _choose_outcome(context: Context, one: ExpiredLease) -> Rescue:
    if one.armed_at is not None:
        can = context.adapters[Platform(one.platform)].capabilities
        return Rescue(
            target=State.UNKNOWN,
            wait=look_first(context.settings, can),
            error=OutcomeUnknown(
                "No result of the visible call was stored: its worker died, or did not reach the database."
            ),
            why="its lease expired after arm",
        )
    if one.crashes + 1 >= context.settings.publish.crashes:
        return Rescue(
            target=State.BLOCKED,
            reason=Reason.PERSON_NEEDED,
            error=AdapterError(
                f"It crashed its worker {one.crashes + 1} times and was set aside.",
                code="poison",
                next_action="Look at the worker's log, then `slipway dead-letter replay` or discard it.",
            ),
            why="crashed its workers too often",
        )
    return Rescue(target=State.QUEUED, why="its lease expired before anything was sent")


def resume_blocked(context: Context) -> int:
    """Return how many deliveries were resumed whose account a user has connected again."""
    with context.database.begin() as c:
        resumed = resume_reconnected(c, BLOCKED)
    if resumed:
        failpoint("resume.committed", *resumed)
        context.dispatcher.send_slot_now()
    return len(resumed)


MESSAGES = 32
"""Messages sent at once: each has a worker slot run the due checks, one after another, whatever there is."""


def redispatch_checks(context: Context) -> int:
    """Return how many checks were dispatched and posts advanced; none while a restore is not accepted.

    Frees the slots of hosts that dead workers hold, first.
    """
    if context.send_guard.find_doubt() is not None:
        return 0
    # a queue without a consumer is not filled without bound
    room = max(0, MESSAGES - (context.liveness.count_messages(REACHABILITY) or 0))
    with context.database.begin() as c:
        free_expired_slots(c)
    with context.database.begin() as c:
        due = list_due_checks(c, room)
        stranded = list_stranded(c, POSTS)
    context.dispatcher.send_checks(due)
    for post in stranded:
        with context.database.begin() as c:
            advance_post(context, c, post.id)
        failpoint("checks.advanced", post.id)
    return len(due) + len(stranded)


IDLE = timedelta(seconds=5)
"""For so long no worker has had the job: a message takes less, unless the queue is long."""
RECEIPTS = 5_000
"""Deleted in one transaction."""


def redispatch_imports(context: Context) -> int:
    """Return how many imports were dispatched."""
    with context.database.begin() as c:
        found = list_unclaimed(c, imports.JOBS, IDLE, JOBS)
    context.dispatcher.send_imports(found)
    return len(found)


def redispatch_steering(context: Context) -> int:
    """Return how many steering jobs were dispatched; delete ended ones, which are kept as long as rows of imports."""
    with context.database.begin() as c:
        found = list_unclaimed(c, steering.JOBS, IDLE, JOBS, context.level)
    context.dispatcher.send_steering(found)
    with context.database.begin() as c:
        steering.delete_expired(c, timedelta(days=context.settings.imports.keep_days), RECEIPTS)
    return len(found)
