"""The delay stage: release due deliveries to their queues; the sweep next to it finds what lost messages left.

Takes scheduled and retrying deliveries whose ``next_at`` has passed by the database's clock; leaves them queued, with a
message on their platform's queue. Due looks are dispatched here too. Several processes may run it at once: rows are
claimed with SKIP LOCKED.

The sweep: release due deliveries whatever messages were lost, and send the messages of the slots of time to come.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

from sqlalchemy import Connection

from adapters.errors import Permanent
from pipeline.domain.delivery import ALWAYS_ARMED, Mover, Reason, State
from pipeline.domain.post import slot_end
from pipeline.runtime.context import Context
from pipeline.runtime.failpoint import failpoint
from pipeline.store.database import jsonb
from pipeline.store.deliveries import paced_rates
from pipeline.store.deliveries import release as store
from pipeline.store.deliveries.claim import Message
from pipeline.store.deliveries.error_fields import error_to_dict
from pipeline.store.deliveries.lease import dispatch_looks
from pipeline.store.deliveries.move import move
from pipeline.store.deliveries.platform_health import list_open_platforms, set_probe, take_probe
from pipeline.store.deliveries.release import list_due_slots


def dispatch_at(context: Context, when: datetime, state: State = State.SCHEDULED) -> None:
    """Send the message of a time within the horizon. Later times are left to the sweep.

    Looks at armed deliveries share wider slots: after the visible call, lateness no longer matters.
    """
    delay = context.settings.delay
    if when - datetime.now(UTC) <= timedelta(seconds=delay.horizon):
        width = delay.look_slot if state in ALWAYS_ARMED else delay.slot
        context.dispatcher.send_slots([slot_end(when, timedelta(seconds=width))])


def release_due(context: Context) -> int:
    """Queue due deliveries and looks. Return how many deliveries were dispatched.

    Nothing is released while the send guard is closed: it could not be armed.
    """
    if not context.send_guard.may_send():
        return 0
    _settle_late(context)
    sent = 0
    with context.database.once() as c:
        platforms = store.list_due_platforms(c)
        held = list_open_platforms(c) if platforms else frozenset()
    for platform in platforms:
        release = _release_probe if platform in held else _release_platform
        sent += release(context, platform)
    return sent + _dispatch_looks(context)


def _release_platform(context: Context, platform: str) -> int:
    """Release batches until nothing is due or the platform's queue holds as much as its workers can take soon."""
    sent = 0
    while True:
        with context.database.begin_brief() as c:
            queued = store.count_queued(c, platform)
            batch = min(context.settings.delay.ahead - queued, context.settings.delay.batch)
            messages = _release_batch(context, c, platform, batch) if batch > 0 else []
            if messages:
                failpoint("delay.locked", *(message.delivery for message in messages))
        if messages:
            failpoint("delay.released", *(message.delivery for message in messages))
        context.dispatcher.send_deliveries(messages, queued=queued)
        sent += len(messages)
        if len(messages) < context.settings.delay.batch:
            return sent


def _release_probe(context: Context, platform: str) -> int:
    """Release one delivery of a platform whose circuit breaker is open, one in ``publish.probe`` seconds."""
    every = timedelta(seconds=context.settings.publish.probe)
    lease = timedelta(seconds=context.settings.delay.queued_lease)
    with context.database.begin_brief() as c:
        messages = (
            store.release(c, platform, 1, lease, level=context.level)
            if take_probe(c, platform, every)
            else []
        )
        for message in messages:
            set_probe(c, platform, message.delivery)
    if messages:
        failpoint("delay.released", *(message.delivery for message in messages))
    context.dispatcher.send_deliveries(messages)
    return len(messages)


def _release_batch(context: Context, c: Connection, platform: str, batch: int) -> list[Message]:
    """Release one batch: deliveries due now, and the backlog that an outage or a pause has left, at a rate of its own.

    The backlog takes at most half of the batch, the oldest of each workspace first, so that new posts do not wait for
    it.
    """
    lease = timedelta(seconds=context.settings.delay.queued_lease)
    release = partial(store.release, c, platform, lease=lease, level=context.level)
    rate, age = context.settings.delay.backlog_rate, timedelta(seconds=context.settings.delay.backlog_age)
    if not rate or not store.has_backlog(c, platform, age):
        return release(batch)
    room = min(max(1, batch // 2), paced_rates.count_allowed(c, "backlog", platform, rate))
    old = release(room, older=age) if room else []
    if old:
        paced_rates.record_sent(c, "backlog", platform, len(old), rate)
    return [*release(batch - len(old), younger=age), *old]


def _dispatch_looks(context: Context) -> int:
    batch, lease = context.settings.delay.batch, timedelta(seconds=context.settings.delay.queued_lease)

    def take() -> list[Message]:
        with context.database.begin_brief() as c:
            messages = dispatch_looks(c, batch, lease)
        if messages:
            failpoint("delay.looks-rung", *(message.delivery for message in messages))
        return messages

    return dispatch_all(take, context.dispatcher.send_looks, batch)


def dispatch_all(
    take: Callable[[], list[Message]], send: Callable[[list[Message]], object], batch: int
) -> int:
    """Send what *take* has committed, up to *batch* each time, until there is no more. Return how many were sent."""
    sent = 0
    while True:
        messages = take()
        send(messages)
        sent += len(messages)
        if len(messages) < batch:
            return sent


def _settle_late(context: Context) -> None:
    """Fail or block every delivery past its ``expires_at``, as its post or workspace says, before any is released."""
    batch = context.settings.delay.batch
    while True:
        with context.database.once() as c:
            late = store.list_late(c, batch)
        for delivery, post, state, generation, on_late in late:
            with context.database.begin_brief() as c:
                _skip_or_hold(c, delivery, post, State(state), generation, on_late)
            failpoint("delay.late", delivery)
        if len(late) < batch:
            return


def _skip_or_hold(
    c: Connection, delivery: UUID, post: UUID, state: State, generation: int, on_late: str
) -> None:
    move(
        c,
        delivery=delivery,
        post=post,
        origin=state,
        mover=Mover.DELAY,
        generation=generation,
        target=State.FAILED if on_late == "skip" else State.BLOCKED,
        reason=None if on_late == "skip" else Reason.PERSON_NEEDED,
        changes={"error": jsonb(error_to_dict(TooLate()))},
        why=f"too late, on_late is {on_late}",
    )


class TooLate(Permanent):
    """The post's ``expires_at``, or its workspace's limit, passed before it could be published."""

    code = "expired"

    def __init__(self) -> None:
        super().__init__(
            "It was not published in time: past its expires_at, or later than its workspace allows."
        )


def sweep(context: Context) -> int:
    """Release due deliveries and dispatch the slots within the horizon. Return how many deliveries were dispatched."""
    sent = release_due(context)
    delay = context.settings.delay
    with context.database.begin() as c:
        ends = list_due_slots(
            c,
            timedelta(seconds=min(delay.horizon, 2 * delay.sweep)),
            timedelta(seconds=delay.slot),
            timedelta(seconds=delay.look_slot),
        )
    context.dispatcher.send_slots(ends)
    return sent
