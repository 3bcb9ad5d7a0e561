"""Turning time into work: what is due is queued, what is soon due gets a doorbell for its slot of time.

Reads scheduled and retrying deliveries whose ``next_at`` has come by the database's clock; leaves them queued, with a
message on their platform's queue. Looks that are due are rung here too. Running twice, or on two machines at once,
does nothing more: rows are claimed with SKIP LOCKED.
"""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from sqlalchemy import Connection

from adapters.errors import Permanent
from pipeline.context import Context
from pipeline.domain.delivery import Mover, Reason, State
from pipeline.failpoint import failpoint
from pipeline.store.database import jsonb
from pipeline.store.deliveries import paced_rates as paces
from pipeline.store.deliveries import release as store
from pipeline.store.deliveries.moves import error_fields, move


def slot(context: Context) -> int:
    """A doorbell rang: queue what is due. Returns how many messages went out.

    Nothing at all while the mark is not ahead of now: what would be released could not be armed.
    """
    if not context.send_guard.open():
        return 0
    _late(context)
    sent = 0
    with context.database.once() as c:
        platforms = store.waiting_platforms(c)
    for platform in platforms:
        sent += _release(context, platform)
    return sent + _looks(context)


def sweep(context: Context) -> int:
    """The net under lost rings, and the one place that rings ahead: slots within the horizon."""
    sent = slot(context)
    horizon = timedelta(seconds=context.settings.delay.horizon)
    with context.database.begin() as c:
        soon = min(horizon, timedelta(seconds=2 * context.settings.delay.sweep))
        ends = store.due_slots(c, soon, _slot(context), timedelta(seconds=context.settings.delay.look_slot))
    context.dispatcher.slots(ends)
    return sent


def _release(context: Context, platform: str) -> int:
    """Batches until nothing is due or the platform's queue is as long as its workers can take soon."""
    sent = 0
    while True:
        with context.database.begin() as c:
            standing = store.queued_count(c, platform)
            batch = min(context.settings.delay.ahead - standing, context.settings.delay.batch)
            rings = _due(context, c, platform, batch) if batch > 0 else []
        if rings:
            failpoint("delay.released", *(ring.delivery for ring in rings))
        context.dispatcher.publish(rings, standing=standing)
        sent += len(rings)
        if len(rings) < context.settings.delay.batch:
            return sent


def _due(context: Context, c: Connection, platform: str, batch: int) -> list[store.Message]:
    """What is due now, and at its own rate what an outage or a pause has kept back, the oldest of each workspace first.

    The backlog is no burst, takes no more than half of the room, and who posts now does not stand behind it.
    """
    lease = timedelta(seconds=context.settings.delay.queued_lease)
    rate, age = context.settings.delay.backlog_rate, timedelta(seconds=context.settings.delay.backlog_age)
    if not rate or not store.has_backlog(c, platform, age):
        return store.release(c, platform, batch, lease)
    room = min(max(1, batch // 2), paces.room(c, "backlog", platform, rate))
    old = store.release(c, platform, room, lease, older=age) if room else []
    if old:
        paces.went(c, "backlog", platform, len(old), rate)
    return [*store.release(c, platform, batch - len(old), lease, younger=age), *old]


def _looks(context: Context) -> int:
    lease = timedelta(seconds=context.settings.delay.queued_lease)
    sent = 0
    while True:
        with context.database.begin() as c:
            rings = store.ring_looks(c, context.settings.delay.batch, lease)
        if rings:
            failpoint("delay.looks-rung", *(ring.delivery for ring in rings))
        context.dispatcher.looks(rings)
        sent += len(rings)
        if len(rings) < context.settings.delay.batch:
            return sent


def _late(context: Context) -> None:
    """Posts past their ``expires_at``: all of them skipped or held, as their author asked, before any is released."""
    batch = context.settings.delay.batch
    while True:
        with context.database.once() as c:
            late = store.late_ones(c, batch)
        for delivery, post, state, generation, on_late in late:
            with context.database.begin() as c:
                _skip_or_hold(c, delivery, post, State(state), generation, on_late)
            failpoint("delay.late", delivery)
        if len(late) < batch:
            return


def _skip_or_hold(
    c: Connection, delivery: UUID, post: UUID, state: State, generation: int, on_late: str
) -> None:
    said = "It was not published in time: past its expires_at, or later than its workspace allows."
    error = jsonb(error_fields(TooLate(said)))
    move(
        c,
        delivery=delivery,
        post=post,
        origin=state,
        mover=Mover.DELAY,
        generation=generation,
        target=State.FAILED if on_late == "skip" else State.BLOCKED,
        reason=None if on_late == "skip" else Reason.PERSON_NEEDED,
        changes={"error": error},
        why=f"too late, on_late is {on_late}",
    )


class TooLate(Permanent):
    """The post's own deadline passed before it could go out."""

    code = "expired"


def _slot(context: Context) -> timedelta:
    return timedelta(seconds=context.settings.delay.slot)
