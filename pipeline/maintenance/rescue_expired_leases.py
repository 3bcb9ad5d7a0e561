"""Takes up what a dead worker or a lost message dropped: leases that ran out.

Queued and never taken: rung again when its lease has run out, or within seconds when its queue holds no message at
all, or when the broker has forgotten everything: one that was flushed, or came back without its memory, must cost
nobody minutes. Publishing and not armed: nothing was sent, so it goes back to the queue and the crash is counted; after
too many it waits for a person, with its evidence. Publishing and armed: unknown, looked at.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta

from redis.exceptions import RedisError

from adapters.contract import Platform
from adapters.errors import AdapterError, OutcomeUnknown
from pipeline.context import Context
from pipeline.domain.delivery import Reason, State
from pipeline.failpoint import failpoint
from pipeline.maintenance.rebuild_broker import BrokerAway, rebuild_broker
from pipeline.queues import PUBLISH, STATUS
from pipeline.stages.retry_inputs import look_first
from pipeline.store.deliveries import rescue as store
from pipeline.store.deliveries.release import Message, ring_lost, ring_lost_looks
from pipeline.store.deliveries.rescue import Dropped, Rescue

log = logging.getLogger("slipway.upkeep")

BATCH = 500
REFILL = 10_000.0
"""Messages a second for a broker that is empty: as fast as they can be sent."""


def rescue_dropped(context: Context) -> int:
    """How many deliveries were rung again or rescued."""
    lease = timedelta(seconds=context.settings.delay.queued_lease)
    rung = _refill(context)
    empty = context.liveness.empty([*PUBLISH.values(), STATUS])
    rung += _ring_deliveries(context, lease, [p for p, queue in PUBLISH.items() if queue in empty])
    if STATUS in empty:
        rung += _ring_looks(context, lease)
    with context.database.begin() as c:
        dropped = store.dropped(c, BATCH)
    for one in dropped:
        _rescue(context, one, lease)
    return rung + len(dropped)


def _refill(context: Context) -> int:
    """A broker that has forgotten its mark has forgotten every message: all are rung at once, however busy it is again.

    The mark comes last: a crash before it only means that they are rung once more.
    """
    if context.liveness.remembers():
        return 0
    try:
        rung = rebuild_broker(context, per_second=REFILL, told=lambda _: None)
        failpoint("rescue.refilled")
        context.liveness.remember()
    except (BrokerAway, RedisError) as error:
        log.warning("the broker had forgotten everything and is away again: %s", error)
        return 0
    total = rung.deliveries + rung.looks + rung.checks
    # a new one is empty too, and no reason to be alarmed
    log.log(logging.WARNING if total else logging.INFO, "the broker had forgotten everything: %s", rung)
    return total


def _ring_deliveries(context: Context, lease: timedelta, empty: Sequence[str]) -> int:
    """All of them: which queues were empty was asked before, and nothing is rung twice within the same run."""
    rung = 0
    while True:
        with context.database.begin() as c:
            lost = ring_lost(c, BATCH, lease, empty=empty)
        if lost:
            failpoint("rescue.found", *(ring.delivery for ring in lost))
        context.dispatcher.publish(lost)
        rung += len(lost)
        if len(lost) < BATCH:
            return rung


def _ring_looks(context: Context, lease: timedelta) -> int:
    held = timedelta(seconds=context.settings.publish.lease)
    rung = 0
    while True:
        with context.database.begin() as c:
            looks = ring_lost_looks(c, BATCH, lease, held=held)
        if looks:
            failpoint("rescue.looks-found", *(ring.delivery for ring in looks))
        context.dispatcher.looks(looks)
        rung += len(looks)
        if len(looks) < BATCH:
            return rung


def _rescue(context: Context, one: Dropped, lease: timedelta) -> None:
    how = _how(context, one)
    with context.database.begin() as c:
        fence = store.rescue(c, one, how, lease)
    if fence is None:
        return
    failpoint("rescue.moved", one.id)
    log.warning("delivery %s: %s; now %s", one.id, how.why, how.target)
    if how.target is State.QUEUED:
        context.dispatcher.publish(
            [Message(delivery=one.id, platform=one.platform, generation=one.generation, fence=fence)]
        )


def _how(context: Context, one: Dropped) -> Rescue:
    if one.armed_at is not None:
        can = context.adapters[Platform(one.platform)].capabilities
        return Rescue(
            target=State.UNKNOWN,
            wait=look_first(context.settings, can),
            error=OutcomeUnknown("The worker died between the visible call and its answer."),
            why="its worker died after arm",
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
    return Rescue(target=State.QUEUED, why="its worker died before anything was sent")
