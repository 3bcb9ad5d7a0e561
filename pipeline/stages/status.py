"""Looking at what a platform is still working on, or what nobody knows the outcome of. Changes nothing over there.

Reads preparing, processing and unknown deliveries; leaves them published, queued (prepared), as they were, unknown,
retrying (absence proven), blocked or failed. A crash at any point leaves the delivery as it was: its lease runs out
and the look is rung again.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
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
from pipeline.store.deliveries import Settling
from pipeline.store.held import Held
from pipeline.store.ownership import RemoteIdTaken, Taken
from pipeline.store.release import Ring

log = logging.getLogger("slipway.status")

TOGETHER = timedelta(seconds=1)
"""The longest that something seen waits for the next look of its message before it is stored."""


def look_all(core: Core, items: Sequence[tuple[UUID, int, int]]) -> None:
    """A handful of looks in one message, claimed in one statement and, as far as they can be, stored in one."""
    lease = timedelta(seconds=core.settings.publish.lease)
    half, soon = Deadline(lease / 2), Deadline(TOGETHER)
    with core.database.once() as c:
        claimed = store.claim_looks(c, core.vault, items, lease)
    failpoint("status.claimed", *(held.id for held in claimed))
    seen: list[Settling] = []
    for held in claimed:
        if not half.may_send():
            break  # the rest is rung again when its lease runs out
        try:
            seen.append(_look(core, held))
        except Exception:
            # rung again when its lease runs out; the others of the message are not its fault
            log.exception("a look at %s broke off", held.id)
        if not soon.may_send():
            _settle_all(core, seen)
            seen, soon = [], Deadline(TOGETHER)
    _settle_all(core, seen)


def look(core: Core, delivery: UUID, generation: int, fence: int) -> State | None:
    """One look at one delivery; None when the message is stale."""
    lease = timedelta(seconds=core.settings.publish.lease)
    with core.database.once() as c:
        held = store.claim_look(c, core.vault, delivery, generation, fence, lease)
    if held is None:
        return None
    failpoint("status.claimed", held.id)
    return _settle(core, _look(core, held))


def _look(core: Core, held: Held) -> Settling:
    can = core.adapters[held.account.platform].capabilities
    verdict, absent = _verdict(core, held, standing_of(held, core.settings, can))
    failpoint("status.looked", held.id)
    # found live before we armed it (a lost answer to an earlier claim): proof settles from any state
    mover = Mover.PROOF if verdict.state is State.PUBLISHED and held.armed_at is None else Mover.STATUS
    return Settling(held=held, verdict=verdict, mover=mover, looked=True, absent=absent)


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


def _settle_all(core: Core, seen: Sequence[Settling]) -> None:
    """Those that are one statement each share a commit; one that does not fit costs the others nothing."""
    together = [one for one in seen if settling.is_plain(one)]
    each = [one for one in seen if one not in together] if len(together) > 1 else seen
    if len(together) > 1:
        try:
            moments = settling.settle_together(core, together)
        except RemoteIdTaken:
            each = seen
        else:
            for one, when in zip(together, moments, strict=True):
                _settled(core, one, one.verdict, when)
    for one in each:
        try:
            _settle(core, one)
        except Exception:
            log.exception("a look at %s could not be stored", one.held.id)


def _settle(core: Core, one: Settling) -> State | None:
    verdict = one.verdict
    if verdict.refresh:
        verdict = credentials.after_expiry(core, one.held, verdict)
    verdict, when = settling.settle(core, one.held, verdict, one.mover, looked=True, absent=one.absent)
    return _settled(core, one, verdict, when)


def _settled(core: Core, one: Settling, verdict: Verdict, when: datetime | None) -> State | None:
    if when is None:
        settling.claim_was_lost(core, one.held, verdict, armed=False)
        return None
    failpoint("status.settled", one.held.id)
    if verdict.state is State.QUEUED:
        core.doorbell.publish([Ring.of(one.held)])
    elif verdict.state not in (State.PUBLISHED, State.FAILED, State.BLOCKED):
        ring_at(core, when, verdict.state)
    return verdict.state
