"""Takes up what a dead worker or a lost message dropped: leases that ran out.

Queued and never taken: rung again. Publishing and not armed: nothing was sent, so it goes back to the queue and the
crash is counted; after too many it waits for a person, with its evidence. Publishing and armed: unknown, looked at.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from adapters.contract import Platform
from adapters.errors import AdapterError, OutcomeUnknown
from pipeline.core import Core
from pipeline.domain.delivery import Reason, State
from pipeline.stages.policy import look_first
from pipeline.store import rescue as store
from pipeline.store.release import Ring, ring_lost
from pipeline.store.rescue import Dropped, Rescue

log = logging.getLogger("slipway.upkeep")

BATCH = 500


def rescue_dropped(core: Core) -> int:
    """How many deliveries were rung again or rescued."""
    lease = timedelta(seconds=core.settings.delay.queued_lease)
    with core.database.begin() as c:
        lost = ring_lost(c, BATCH, lease)
        dropped = store.dropped(c, BATCH)
    core.doorbell.publish(lost)
    for one in dropped:
        _rescue(core, one, lease)
    return len(lost) + len(dropped)


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
