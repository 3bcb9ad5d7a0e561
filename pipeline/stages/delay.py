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
from pipeline.context import Core
from pipeline.domain.delivery import Mover, Reason, State
from pipeline.failpoint import failpoint
from pipeline.store.database import jsonb
from pipeline.store.deliveries import paced_rates as paces
from pipeline.store.deliveries import release as store
from pipeline.store.deliveries.moves import error_fields, move


def slot(core: Core) -> int:
    """A doorbell rang: queue what is due. Returns how many messages went out.

    Nothing at all while the mark is not ahead of now: what would be released could not be armed.
    """
    if not core.keeper.open():
        return 0
    _late(core)
    sent = 0
    with core.database.once() as c:
        platforms = store.waiting_platforms(c)
    for platform in platforms:
        sent += _release(core, platform)
    return sent + _looks(core)


def sweep(core: Core) -> int:
    """The net under lost rings, and the one place that rings ahead: slots within the horizon."""
    sent = slot(core)
    horizon = timedelta(seconds=core.settings.delay.horizon)
    with core.database.begin() as c:
        soon = min(horizon, timedelta(seconds=2 * core.settings.delay.sweep))
        ends = store.due_slots(c, soon, _slot(core), timedelta(seconds=core.settings.delay.look_slot))
    core.doorbell.slots(ends)
    return sent


def _release(core: Core, platform: str) -> int:
    """Batches until nothing is due or the platform's queue is as long as its workers can take soon."""
    sent = 0
    while True:
        with core.database.begin() as c:
            standing = store.queued_count(c, platform)
            batch = min(core.settings.delay.ahead - standing, core.settings.delay.batch)
            rings = _due(core, c, platform, batch) if batch > 0 else []
        if rings:
            failpoint("delay.released", *(ring.delivery for ring in rings))
        core.doorbell.publish(rings, standing=standing)
        sent += len(rings)
        if len(rings) < core.settings.delay.batch:
            return sent


def _due(core: Core, c: Connection, platform: str, batch: int) -> list[store.Ring]:
    """What is due now, and at its own rate what an outage or a pause has kept back, the oldest of each workspace first.

    The backlog is no burst, takes no more than half of the room, and who posts now does not stand behind it.
    """
    lease = timedelta(seconds=core.settings.delay.queued_lease)
    rate, age = core.settings.delay.backlog_rate, timedelta(seconds=core.settings.delay.backlog_age)
    if not rate or not store.has_backlog(c, platform, age):
        return store.release(c, platform, batch, lease)
    room = min(max(1, batch // 2), paces.room(c, "backlog", platform, rate))
    old = store.release(c, platform, room, lease, older=age) if room else []
    if old:
        paces.went(c, "backlog", platform, len(old), rate)
    return [*store.release(c, platform, batch - len(old), lease, younger=age), *old]


def _looks(core: Core) -> int:
    lease = timedelta(seconds=core.settings.delay.queued_lease)
    sent = 0
    while True:
        with core.database.begin() as c:
            rings = store.ring_looks(c, core.settings.delay.batch, lease)
        if rings:
            failpoint("delay.looks-rung", *(ring.delivery for ring in rings))
        core.doorbell.looks(rings)
        sent += len(rings)
        if len(rings) < core.settings.delay.batch:
            return sent


def _late(core: Core) -> None:
    """Posts past their ``expires_at``: all of them skipped or held, as their author asked, before any is released."""
    batch = core.settings.delay.batch
    while True:
        with core.database.once() as c:
            late = store.late_ones(c, batch)
        for delivery, post, state, generation, on_late in late:
            with core.database.begin() as c:
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


def _slot(core: Core) -> timedelta:
    return timedelta(seconds=core.settings.delay.slot)
