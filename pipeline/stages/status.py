"""Looking at what a platform is still working on, or what nobody knows the outcome of. Changes nothing over there.

Reads preparing, processing and unknown deliveries; leaves them published, queued (prepared), as they were, unknown,
retrying (absence proven), blocked or failed. A crash at any point leaves the delivery as it was: its lease runs out
and the look is rung again.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from adapters.contract import Absent, Ready
from adapters.errors import AdapterError
from pipeline.core import Core
from pipeline.domain import verdict as decide
from pipeline.domain.delivery import Mover, State
from pipeline.domain.verdict import Standing, Verdict
from pipeline.failpoint import failpoint
from pipeline.stages import credentials, settling
from pipeline.stages.deadline import Deadline
from pipeline.stages.drafts import draft_of
from pipeline.stages.policy import policy_of, standing_of
from pipeline.stages.publish import ring_at
from pipeline.store import deliveries as store
from pipeline.store.held import Held
from pipeline.store.ownership import Taken
from pipeline.store.release import Ring

log = logging.getLogger("slipway.status")


def look_all(core: Core, items: Sequence[tuple[UUID, int, int]]) -> None:
    """A handful of looks in one message, claimed in one statement."""
    lease = timedelta(seconds=core.settings.publish.lease)
    half = Deadline(lease / 2)
    with core.database.once() as c:
        claimed = store.claim_looks(c, core.vault, items, lease)
    failpoint("status.claimed")
    for held in claimed:
        if not half.may_send():
            return  # the rest is rung again when its lease runs out
        try:
            _look(core, held)
        except Exception:
            # rung again when its lease runs out; the others of the message are not its fault
            log.exception("a look at %s broke off", held.id)


def look(core: Core, delivery: UUID, generation: int, fence: int) -> State | None:
    """One look at one delivery; None when the message is stale."""
    lease = timedelta(seconds=core.settings.publish.lease)
    with core.database.once() as c:
        held = store.claim_look(c, core.vault, delivery, generation, fence, lease)
    if held is None:
        return None
    failpoint("status.claimed")
    return _look(core, held)


def _look(core: Core, held: Held) -> State | None:
    can = core.adapters[held.account.platform].capabilities
    verdict, absent = _verdict(core, held, standing_of(held, core.settings, can))
    failpoint("status.looked")
    return _settle(core, held, verdict, absent=absent)


def _verdict(core: Core, held: Held, standing: Standing) -> tuple[Verdict, bool]:
    adapter = core.adapter(held.account.platform, core.client())
    policy = policy_of(core.settings, adapter.capabilities)
    if wait := core.pacer.wait(held.account.id, "look", adapter.capabilities.rates):
        return Verdict(state=held.state, wait=wait), held.absent_at is not None
    try:
        taken = Taken(core.database, account=held.account_id, delivery=held.id)
        seen = adapter.look(draft_of(core, held), held.account, held.checkpoint, held.armed_at, taken)
    except Exception as error:
        if not isinstance(error, AdapterError):
            log.exception("unforeseen while looking at %s", held.id)
        return decide.of_look_error(error, standing, policy, held.state), held.absent_at is not None
    absent = isinstance(seen, Absent | Ready) and standing.armed_for is not None and standing.late_enough
    return decide.of_look(seen, standing, policy), absent


def _settle(core: Core, held: Held, verdict: Verdict, *, absent: bool) -> State | None:
    if verdict.refresh:
        verdict = credentials.after_expiry(core, held, verdict)
    # found live before we armed it (a lost answer to an earlier claim): proof settles from any state
    mover = Mover.PROOF if verdict.state is State.PUBLISHED and held.armed_at is None else Mover.STATUS
    verdict, when = settling.settle(core, held, verdict, mover, looked=True, absent=absent)
    if when is None:
        settling.claim_was_lost(core, held, verdict, armed=False)
        return None
    failpoint("status.settled")
    if verdict.state is State.QUEUED:
        core.doorbell.publish([Ring.of(held)])
    elif verdict.state not in (State.PUBLISHED, State.FAILED, State.BLOCKED):
        ring_at(core, when)
    return verdict.state
