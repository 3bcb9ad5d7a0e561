"""The status stage: look at deliveries that a platform still works on, or whose outcome is unknown.

Takes preparing, processing and unknown deliveries; leaves them published, queued (prepared), unchanged, unknown,
retrying (absence proven), blocked or failed. A look changes nothing at the platform. A crash at any point leaves the
delivery unchanged: its lease expires and the look is dispatched again.

For a delivery that a restore left unresolved the platform is really asked, by handle and by its lists: after the backup
it may have been sent, again or for the first time, under a handle that the database does not know.
"""

from __future__ import annotations

import logging
from collections.abc import Container, Sequence
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from adapters.contract import Absent, Adapter, CannotTell, Draft, LookResult, Pending, Published, Ready
from adapters.errors import AdapterError, Permanent, PermissionMissing
from adapters.listing import Asked, Listing
from pipeline.accounts.refresh import refresh_expired
from pipeline.domain import retry_policy
from pipeline.domain.delivery import Mover, State
from pipeline.domain.hold import VAULT_PAUSE, Hold
from pipeline.domain.restore import evaluate_listing
from pipeline.domain.verdict import RetryState, Verdict, hold
from pipeline.runtime import tracing
from pipeline.runtime.context import Context
from pipeline.runtime.failpoint import failpoint
from pipeline.stages import settle as settlement
from pipeline.stages.deadline import Deadline
from pipeline.stages.drafts import build_draft
from pipeline.stages.platform_limits import build_retry_policy, build_retry_state, may_appear_until
from pipeline.stages.sign_of_life import pause_if_app_refused, record_result
from pipeline.store.deliveries.claim import ClaimedDelivery, claim_look, claim_looks
from pipeline.store.deliveries.lease import requeue_looks
from pipeline.store.deliveries.ownership import RemoteIdsOfOthers, RemoteIdTaken
from pipeline.store.deliveries.settle import Settlement
from pipeline.store.recovery.restores import find_doubt


def look_unresolved(
    context: Context,
    claimed: ClaimedDelivery,
    adapter: Adapter,
    draft: Draft,
    taken: Container[str],
    *,
    is_past_limit: bool,
) -> LookResult:
    """Ask by the handle of the backup, where there is one, then list the account's posts since the unresolved span.

    ``is_past_limit``: a post that the platform still works on by then is looked for in the list too.
    """
    until = may_appear_until(claimed.armed_deadline, context.settings, adapter.capabilities)
    if claimed.armed_at is None or until is None:
        raise LookupError(f"Delivery {claimed.id} is unresolved and not armed: a bug.")
    if claimed.checkpoint:
        seen = adapter.look(draft, claimed.account, claimed.checkpoint, claimed.armed_at, taken)
        is_proof = isinstance(seen, Published) and not seen.is_searched
        if is_proof or (isinstance(seen, Pending) and not is_past_limit):
            return seen
    with context.database.once() as c:
        doubt = find_doubt(c, claimed.id)
    since = min(claimed.armed_at, doubt.since or claimed.armed_at)
    return evaluate_listing(
        _list_posts(adapter, draft, claimed, since),
        adapter.capabilities.display_name,
        since=since,
        due=claimed.armed_at,
        until=until,
        taken=taken,
        is_twin=doubt.is_twin,
    )


def _list_posts(adapter: Adapter, draft: Draft, claimed: ClaimedDelivery, since: datetime) -> Listing:
    """List the account's posts. What no later look could read was not asked; other errors are raised."""
    try:
        return adapter.list_posts(draft, claimed.account, since)
    except (PermissionMissing, Permanent) as error:
        return Listing(asked=Asked.NOT, reason=error.message.rstrip("."))


log = logging.getLogger("slipway.status")

LOST_HANDLE = "No key of the vault opens the handle under which it was sent."
MAX_UNSTORED = timedelta(seconds=1)
"""How long a result may wait for the next look of its message before it is stored."""


def look_batch(context: Context, items: Sequence[tuple[UUID, int, int]]) -> Sequence[Verdict | None]:
    """Look at the deliveries of one message, claimed in one statement and stored in as few as possible.

    Does nothing while a restore is not accepted: the handle from a backup may not be the last one that was used.
    Return what became of each; None where nothing was stored.
    """
    if not context.send_guard.may_send():
        return [None] * len(items)
    lease = timedelta(seconds=context.settings.publish.lease)
    half, soon = Deadline(lease / 2), Deadline(MAX_UNSTORED)
    with context.database.once() as c:
        batch = claim_looks(c, context.vault, items, lease, context.level)
    with context.shutdown.requeue_on_timeout(partial(_requeue_looks, context, batch)):
        failpoint("status.claimed", *(claimed.id for claimed in batch))
        stored = _look_at_batch(context, batch, half, soon)
    return [*stored, *[None] * (len(items) - len(stored))]


def _look_at_batch(
    context: Context, batch: Sequence[ClaimedDelivery], half: Deadline, soon: Deadline
) -> list[Verdict | None]:
    seen: list[Settlement] = []
    stored: list[Verdict | None] = []
    for number, claimed in enumerate(batch):
        if not context.may_begin():
            _requeue_looks(context, batch[number:])
            break
        if not half.may_send():
            break  # the rest is dispatched again when its lease expires
        try:
            seen.append(_look(context, claimed))
        except Exception:
            # dispatched again when its lease expires; the other looks of the message go on
            log.exception("a look at delivery %s failed; %s", claimed.id, claimed.trail)
        if not soon.may_send():
            stored += _settle_batch(context, seen)
            seen, soon = [], Deadline(MAX_UNSTORED)
    return stored + _settle_batch(context, seen)


def _requeue_looks(context: Context, batch: Sequence[ClaimedDelivery]) -> None:
    """Give up the looks that a shutdown leaves no time for: the next sweep dispatches them again."""
    with context.database.begin() as c:
        requeue_looks(c, batch)


def look(context: Context, delivery: UUID, generation: int, fence: int) -> State | None:
    """Look at one delivery and return its new state; None if the message is stale or nothing may be sent now."""
    if not context.send_guard.may_send():
        return None
    lease = timedelta(seconds=context.settings.publish.lease)
    with context.database.once() as c:
        claimed = claim_look(c, context.vault, delivery, generation, fence, lease, context.level)
    if claimed is None:
        return None
    failpoint("status.claimed", claimed.id)
    stored = _settle(context, _look(context, claimed))
    return stored.state if stored else None


def _look(context: Context, claimed: ClaimedDelivery) -> Settlement:
    adapters = context.comment_adapters if claimed.is_comment else context.adapters
    can = adapters[claimed.account.platform].capabilities
    with tracing.trace_work("status", claimed) as record_verdict:
        verdict, absent = _evaluate(context, claimed, build_retry_state(claimed, context.settings, can))
        record_verdict(verdict)
    failpoint("status.looked", claimed.id)
    # live although not armed (the answer to an earlier claim was lost): proof settles from any state
    mover = Mover.PROOF if verdict.state is State.PUBLISHED and claimed.armed_at is None else Mover.STATUS
    return Settlement(claimed=claimed, verdict=verdict, mover=mover, looked=True, absent=absent)


def _evaluate(context: Context, claimed: ClaimedDelivery, state: RetryState) -> tuple[Verdict, bool]:
    """Look, and return the verdict and whether the look counts as one that found nothing."""
    client = context.client()
    adapter = context.adapter(claimed.account.platform, client, comments=claimed.is_comment)
    policy = build_retry_policy(context.settings, adapter.capabilities)
    if claimed.unopened == "credentials":
        return hold(Hold.VAULT, VAULT_PAUSE, state=claimed.state), claimed.absent_at is not None
    if wait := context.rate_buckets.take(claimed.account.id, "look", adapter.capabilities.rates):
        return hold(Hold.RATE, wait, state=claimed.state), claimed.absent_at is not None
    try:
        is_past_limit = state.waited >= policy.look_limit
        seen = _look_at_platform(context, claimed, adapter, is_past_limit=is_past_limit)
    except Exception as error:
        if not isinstance(error, AdapterError):
            log.exception("unexpected error while looking at delivery %s; %s", claimed.id, claimed.trail)
        pause_if_app_refused(context, claimed, error)
        record_result(context, claimed, client, error)
        return retry_policy.evaluate_look_error(
            error, state, policy, claimed.state
        ), claimed.absent_at is not None
    record_result(context, claimed, client, None)
    verdict = retry_policy.evaluate_look(seen, state, policy)
    found_nothing = verdict.state is State.UNKNOWN if claimed.in_doubt else isinstance(seen, Absent | Ready)
    return verdict, found_nothing and state.armed and state.late_enough


def _look_at_platform(
    context: Context, claimed: ClaimedDelivery, adapter: Adapter, *, is_past_limit: bool
) -> LookResult:
    draft = build_draft(context, claimed)
    taken = RemoteIdsOfOthers(context.database, account=claimed.account_id, delivery=claimed.id)
    if claimed.in_doubt and not claimed.is_comment:
        return look_unresolved(context, claimed, adapter, draft, taken, is_past_limit=is_past_limit)
    if claimed.unopened:
        return CannotTell(reason=LOST_HANDLE, is_final=True) if claimed.armed_at else Absent()
    return adapter.look(draft, claimed.account, claimed.checkpoint, claimed.armed_at, taken)


def _settle_batch(context: Context, seen: Sequence[Settlement]) -> list[Verdict | None]:
    """Store results that are one statement each in one transaction, the others one by one."""
    together = [one for one in seen if settlement.is_batchable(one)]
    each = [one for one in seen if one not in together] if len(together) > 1 else seen
    stored: list[Verdict | None] = []
    if len(together) > 1:
        try:
            instants = settlement.settle_batch(context, together)
        except RemoteIdTaken:
            each = seen
        else:
            stored += [
                _finish(context, one, one.verdict, when) for one, when in zip(together, instants, strict=True)
            ]
    for one in each:
        try:
            stored.append(_settle(context, one))
        except Exception:
            log.exception(
                "the result of a look at delivery %s could not be stored; %s",
                one.claimed.id,
                one.claimed.trail,
            )
    return stored


def _settle(context: Context, one: Settlement) -> Verdict | None:
    verdict = one.verdict
    if verdict.refresh:
        verdict = refresh_expired(context, one.claimed, verdict)
    verdict, when = settlement.settle(
        context, one.claimed, verdict, one.mover, looked=True, absent=one.absent
    )
    return _finish(context, one, verdict, when)


def _finish(context: Context, one: Settlement, verdict: Verdict, when: datetime | None) -> Verdict | None:
    if when is None:
        settlement.keep_late_result(context, one.claimed, verdict, armed=False)
        return None
    failpoint("status.settled", one.claimed.id)
    settlement.dispatch_next(context, one.claimed, verdict, when)
    return verdict
