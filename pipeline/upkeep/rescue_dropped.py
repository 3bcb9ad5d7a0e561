"""Takes up what a dead worker or a lost message dropped: leases that ran out.

Queued and never taken: rung again when its lease has run out, or within seconds when its queue holds no message at
all, for a broker that was flushed, or came back without its memory, must cost nobody minutes. Publishing and not
armed: nothing was sent, so it goes back to the queue and the crash is counted; after too many it waits for a person,
with its evidence. Publishing and armed: unknown, looked at.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from sqlalchemy import Connection

from adapters.contract import Platform
from adapters.errors import AdapterError, OutcomeUnknown
from pipeline.core import Core
from pipeline.domain.delivery import Reason, State
from pipeline.queues import PUBLISH, STATUS
from pipeline.stages.policy import look_first
from pipeline.store import rescue as store
from pipeline.store.release import Ring, ring_lost, ring_lost_looks
from pipeline.store.rescue import Dropped, Rescue

log = logging.getLogger("slipway.upkeep")

BATCH = 500


def rescue_dropped(core: Core) -> int:
    """How many deliveries were rung again or rescued."""
    lease = timedelta(seconds=core.settings.delay.queued_lease)
    empty = core.pulse.empty([*PUBLISH.values(), STATUS])
    with core.database.begin() as c:
        lost = ring_lost(c, BATCH, lease, empty=[p for p, queue in PUBLISH.items() if queue in empty])
        looks = _lost_looks(core, c, lease) if STATUS in empty else []
        dropped = store.dropped(c, BATCH)
    core.doorbell.publish(lost)
    core.doorbell.looks(looks)
    for one in dropped:
        _rescue(core, one, lease)
    return len(lost) + len(looks) + len(dropped)


def _lost_looks(core: Core, c: Connection, lease: timedelta) -> list[Ring]:
    return ring_lost_looks(c, BATCH, lease, held=timedelta(seconds=core.settings.publish.lease))


def _rescue(core: Core, one: Dropped, lease: timedelta) -> None:
    how = _how(core, one)
    with core.database.begin() as c:
        fence = store.rescue(c, one, how, lease)
    if fence is None:
        return
    log.warning("delivery %s: %s; now %s", one.id, how.why, how.target)
    if how.target is State.QUEUED:
        core.doorbell.publish(
            [Ring(delivery=one.id, platform=one.platform, generation=one.generation, fence=fence)]
        )


def _how(core: Core, one: Dropped) -> Rescue:
    if one.armed_at is not None:
        can = core.adapters[Platform(one.platform)].capabilities
        return Rescue(
            target=State.UNKNOWN,
            wait=look_first(core.settings, can),
            error=OutcomeUnknown("The worker died between the visible call and its answer."),
            why="its worker died after arm",
        )
    if one.crashes + 1 >= core.settings.publish.crashes:
        return Rescue(
            target=State.BLOCKED,
            reason=Reason.PERSON_NEEDED,
            error=AdapterError(
                f"It crashed its worker {one.crashes + 1} times and was set aside.",
                code="poison",
                next_action="Look at the worker's log, then `slipway delivery resume` it.",
            ),
            why="crashed its workers too often",
        )
    return Rescue(target=State.QUEUED, why="its worker died before anything was sent")
