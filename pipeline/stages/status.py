"""Looking at what a platform is still working on, or what nobody knows the outcome of. Changes nothing over there.

Reads preparing, processing and unknown deliveries; leaves them published, queued (prepared), as they were, unknown,
retrying (absence proven), blocked or failed. A crash at any point leaves the delivery as it was: its lease runs out
and the look is rung again.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from adapters.contract import Absent, Adapter, CannotTell, Pending, Published, Ready, Seen
from adapters.errors import AdapterError
from pipeline.accounts import refresh as credentials
from pipeline.context import Core
from pipeline.domain import retry_policy as decide
from pipeline.domain.delivery import Mover, State
from pipeline.domain.retry_policy import Standing, Verdict
from pipeline.failpoint import failpoint
from pipeline.stages import settle as settling
from pipeline.stages.deadline import Deadline
from pipeline.stages.drafts import draft_of
from pipeline.stages.publish import ring_at
from pipeline.stages.retry_inputs import policy_of, standing_of
from pipeline.store.deliveries import moves as store
from pipeline.store.deliveries.claimed import Held
from pipeline.store.deliveries.lease import give_back_looks
from pipeline.store.deliveries.moves import Settling
from pipeline.store.deliveries.ownership import RemoteIdTaken, Taken
from pipeline.store.deliveries.release import Ring
from pipeline.store.recovery.restores import has_twin

log = logging.getLogger("slipway.status")

TOGETHER = timedelta(seconds=1)
"""The longest that something seen waits for the next look of its message before it is stored."""


def look_all(core: Core, items: Sequence[tuple[UUID, int, int]]) -> None:
    """A handful of looks in one message, claimed in one statement and, as far as they can be, stored in one.

    None while it is in doubt what was sent: what a handle out of a backup says is not the last word.
    """
    if not core.keeper.open():
        return
    lease = timedelta(seconds=core.settings.publish.lease)
    half, soon = Deadline(lease / 2), Deadline(TOGETHER)
    with core.database.once() as c:
        claimed = store.claim_looks(c, core.vault, items, lease)
    with core.closing.holding(partial(_hand_back, core, claimed)):
        failpoint("status.claimed", *(held.id for held in claimed))
        _look_at_each(core, claimed, half, soon)


def _look_at_each(core: Core, claimed: Sequence[Held], half: Deadline, soon: Deadline) -> None:
    seen: list[Settling] = []
    for number, held in enumerate(claimed):
        if not core.may_begin():
            _hand_back(core, claimed[number:])
            break
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


def _hand_back(core: Core, some: Sequence[Held]) -> None:
    """This process ends before it looked at these: whoever sweeps next rings them again."""
    with core.database.begin() as c:
        give_back_looks(c, some)


def look(core: Core, delivery: UUID, generation: int, fence: int) -> State | None:
    """One look at one delivery; None when the message is stale, or nothing is looked at now."""
    if not core.keeper.open():
        return None
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
        seen = _seen(core, held, adapter)
    except Exception as error:
        if not isinstance(error, AdapterError):
            log.exception("unforeseen while looking at %s", held.id)
        return decide.of_look_error(error, standing, policy, held.state), held.absent_at is not None
    verdict = decide.of_look(seen, standing, policy)
    proves_nothing = verdict.state is State.UNKNOWN if held.in_doubt else isinstance(seen, Absent | Ready)
    return verdict, proves_nothing and standing.armed_for is not None and standing.late_enough


def _seen(core: Core, held: Held, adapter: Adapter) -> Seen:
    """What the platform shows. Of one in doubt: by the handle of the backup, else by what a newer one would show."""
    draft = draft_of(core, held)
    taken = Taken(core.database, account=held.account_id, delivery=held.id)
    if not held.in_doubt:
        return adapter.look(draft, held.account, held.checkpoint, held.armed_at, taken)
    with core.database.once() as c:
        if has_twin(c, held.id):
            return CannotTell(reason="More than one post with this text may have gone out on this account")
    seen = adapter.look(draft, held.account, held.checkpoint, held.armed_at, taken)
    if held.checkpoint and not isinstance(seen, Published | Pending):
        return adapter.look(draft, held.account, {}, held.armed_at, taken)
    return seen


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
