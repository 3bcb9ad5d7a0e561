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
from pipeline.context import Context
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
from pipeline.store.deliveries.claimed import ClaimedDelivery
from pipeline.store.deliveries.lease import give_back_looks
from pipeline.store.deliveries.moves import Settling
from pipeline.store.deliveries.ownership import RemoteIdTaken, Taken
from pipeline.store.deliveries.release import Message
from pipeline.store.recovery.restores import has_twin

log = logging.getLogger("slipway.status")

TOGETHER = timedelta(seconds=1)
"""The longest that something seen waits for the next look of its message before it is stored."""


def look_all(context: Context, items: Sequence[tuple[UUID, int, int]]) -> None:
    """A handful of looks in one message, claimed in one statement and, as far as they can be, stored in one.

    None while it is in doubt what was sent: what a handle out of a backup says is not the last word.
    """
    if not context.send_guard.open():
        return
    lease = timedelta(seconds=context.settings.publish.lease)
    half, soon = Deadline(lease / 2), Deadline(TOGETHER)
    with context.database.once() as c:
        claimed = store.claim_looks(c, context.vault, items, lease)
    with context.shutdown.holding(partial(_hand_back, context, claimed)):
        failpoint("status.claimed", *(held.id for held in claimed))
        _look_at_each(context, claimed, half, soon)


def _look_at_each(
    context: Context, claimed: Sequence[ClaimedDelivery], half: Deadline, soon: Deadline
) -> None:
    seen: list[Settling] = []
    for number, held in enumerate(claimed):
        if not context.may_begin():
            _hand_back(context, claimed[number:])
            break
        if not half.may_send():
            break  # the rest is rung again when its lease runs out
        try:
            seen.append(_look(context, held))
        except Exception:
            # rung again when its lease runs out; the others of the message are not its fault
            log.exception("a look at %s broke off", held.id)
        if not soon.may_send():
            _settle_all(context, seen)
            seen, soon = [], Deadline(TOGETHER)
    _settle_all(context, seen)


def _hand_back(context: Context, some: Sequence[ClaimedDelivery]) -> None:
    """This process ends before it looked at these: whoever sweeps next rings them again."""
    with context.database.begin() as c:
        give_back_looks(c, some)


def look(context: Context, delivery: UUID, generation: int, fence: int) -> State | None:
    """One look at one delivery; None when the message is stale, or nothing is looked at now."""
    if not context.send_guard.open():
        return None
    lease = timedelta(seconds=context.settings.publish.lease)
    with context.database.once() as c:
        held = store.claim_look(c, context.vault, delivery, generation, fence, lease)
    if held is None:
        return None
    failpoint("status.claimed", held.id)
    return _settle(context, _look(context, held))


def _look(context: Context, held: ClaimedDelivery) -> Settling:
    can = context.adapters[held.account.platform].capabilities
    verdict, absent = _verdict(context, held, standing_of(held, context.settings, can))
    failpoint("status.looked", held.id)
    # found live before we armed it (a lost answer to an earlier claim): proof settles from any state
    mover = Mover.PROOF if verdict.state is State.PUBLISHED and held.armed_at is None else Mover.STATUS
    return Settling(held=held, verdict=verdict, mover=mover, looked=True, absent=absent)


def _verdict(context: Context, held: ClaimedDelivery, standing: Standing) -> tuple[Verdict, bool]:
    adapter = context.adapter(held.account.platform, context.client())
    policy = policy_of(context.settings, adapter.capabilities)
    if wait := context.rate_buckets.wait(held.account.id, "look", adapter.capabilities.rates):
        return Verdict(state=held.state, wait=wait), held.absent_at is not None
    try:
        seen = _seen(context, held, adapter)
    except Exception as error:
        if not isinstance(error, AdapterError):
            log.exception("unforeseen while looking at %s", held.id)
        return decide.of_look_error(error, standing, policy, held.state), held.absent_at is not None
    verdict = decide.of_look(seen, standing, policy)
    proves_nothing = verdict.state is State.UNKNOWN if held.in_doubt else isinstance(seen, Absent | Ready)
    return verdict, proves_nothing and standing.armed_for is not None and standing.late_enough


def _seen(context: Context, held: ClaimedDelivery, adapter: Adapter) -> Seen:
    """What the platform shows. Of one in doubt: by the handle of the backup, else by what a newer one would show."""
    draft = draft_of(context, held)
    taken = Taken(context.database, account=held.account_id, delivery=held.id)
    if not held.in_doubt:
        return adapter.look(draft, held.account, held.checkpoint, held.armed_at, taken)
    with context.database.once() as c:
        if has_twin(c, held.id):
            return CannotTell(reason="More than one post with this text may have gone out on this account")
    seen = adapter.look(draft, held.account, held.checkpoint, held.armed_at, taken)
    if held.checkpoint and not isinstance(seen, Published | Pending):
        return adapter.look(draft, held.account, {}, held.armed_at, taken)
    return seen


def _settle_all(context: Context, seen: Sequence[Settling]) -> None:
    """Those that are one statement each share a commit; one that does not fit costs the others nothing."""
    together = [one for one in seen if settling.is_plain(one)]
    each = [one for one in seen if one not in together] if len(together) > 1 else seen
    if len(together) > 1:
        try:
            moments = settling.settle_together(context, together)
        except RemoteIdTaken:
            each = seen
        else:
            for one, when in zip(together, moments, strict=True):
                _settled(context, one, one.verdict, when)
    for one in each:
        try:
            _settle(context, one)
        except Exception:
            log.exception("a look at %s could not be stored", one.held.id)


def _settle(context: Context, one: Settling) -> State | None:
    verdict = one.verdict
    if verdict.refresh:
        verdict = credentials.after_expiry(context, one.held, verdict)
    verdict, when = settling.settle(context, one.held, verdict, one.mover, looked=True, absent=one.absent)
    return _settled(context, one, verdict, when)


def _settled(context: Context, one: Settling, verdict: Verdict, when: datetime | None) -> State | None:
    if when is None:
        settling.claim_was_lost(context, one.held, verdict, armed=False)
        return None
    failpoint("status.settled", one.held.id)
    if verdict.state is State.QUEUED:
        context.dispatcher.publish([Message.of(one.held)])
    elif verdict.state not in (State.PUBLISHED, State.FAILED, State.BLOCKED):
        ring_at(context, when, verdict.state)
    return verdict.state
