"""The publish stage: claim a delivery, prepare it step by step, arm it, make the one visible call, settle it.

Takes queued deliveries; leaves them published, processing, preparing, scheduled (prepared early, or held), queued (end
of a slice), retrying, unknown, blocked or failed. Comments say what a crash leaves at each failpoint.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from sqlalchemy import Connection

from adapters.contract import Adapter, CheckpointData, Draft, FinalizeResult, Pending, Published, Ready
from adapters.errors import AdapterError, OutcomeUnknown, RateLimited, Rejected
from pipeline.accounts.refresh import refresh_expired
from pipeline.domain import retry_policy
from pipeline.domain.account import AccountStatus
from pipeline.domain.delivery import Mover, Reason, State
from pipeline.domain.hold import VAULT_PAUSE, Hold
from pipeline.domain.verdict import Verdict, hold
from pipeline.media.probe.probe import NoRoom
from pipeline.runtime import tracing
from pipeline.runtime.context import Context
from pipeline.runtime.failpoint import failpoint
from pipeline.stages import drafts
from pipeline.stages import settle as settlement
from pipeline.stages.deadline import Deadline, beat_while_reading, build_heartbeat
from pipeline.stages.derived_images import TimeIsUp, derive_images
from pipeline.stages.platform_limits import (
    build_retry_policy,
    build_retry_state,
    find_daily_quota,
    is_inbox_draft,
    look_first,
)
from pipeline.stages.settle import ClaimLost
from pipeline.stages.sign_of_life import pause_if_app_refused, record_result, require_sign_of_life
from pipeline.store.deliveries.arm import arm, disarm, save_checkpoint
from pipeline.store.deliveries.claim import ClaimedDelivery, Message, claim_batch
from pipeline.store.deliveries.daily_quota import DailyQuota, compute_quota_wait, lock_daily_quota
from pipeline.store.deliveries.lease import requeue_claimed
from pipeline.store.deliveries.ownership import RemoteIdsOfOthers
from pipeline.store.posts.approvals import is_approved

log = logging.getLogger("slipway.publish")

NO_ROOM_PAUSE = timedelta(seconds=5)  # of a delivery whose images wait for memory to be converted in


def publish(context: Context, delivery: UUID, generation: int) -> State | None:
    """Do one slice of work on a delivery and return its new state.

    Return None if the delivery cannot be claimed (another worker has it, or the message is stale), if the claim is lost
    before the result is stored, or if nothing may be sent. A delivery that is not claimed because nothing may be sent
    stays queued; it is dispatched again when its lease as queued expires.
    """
    verdict = _publish_one(context, delivery, generation)
    return verdict.state if verdict else None


def _publish_one(context: Context, delivery: UUID, generation: int) -> Verdict | None:
    if not context.send_guard.may_send():
        return None
    # the deadline is taken before the claim is sent, never after
    deadline = Deadline(timedelta(seconds=context.settings.publish.slice))
    batch = _claim(context, [(delivery, generation)])
    if not batch:
        return None
    [claimed] = batch
    with context.shutdown.requeue_on_timeout(partial(requeue, context, [claimed])):
        failpoint("publish.claimed", claimed.id)  # a crash here: the lease expires, not armed -> queued again
        return PublishSlice(context, claimed, deadline).run()


def publish_batch(
    context: Context, platform: str, items: Sequence[tuple[UUID, int]]
) -> Sequence[Verdict | None]:
    """Publish the deliveries of one message, claimed together, under one deadline. None: nothing was stored."""
    if len(items) == 1:
        return [_publish_one(context, *items[0])]
    if not context.send_guard.may_send():
        return [None] * len(items)
    deadline = Deadline(timedelta(seconds=context.settings.publish.slice))
    batch = _claim(context, items)
    failpoint("publish.claimed-several", *(claimed.id for claimed in batch))
    claimed_ids = {claimed.id for claimed in batch}
    verdicts: list[Verdict | None] = [None] * (len(items) - len(batch))
    with context.shutdown.requeue_on_timeout(partial(requeue, context, batch)):
        verdicts += [_run_or_requeue(context, claimed, deadline) for claimed in batch]
    # the rest is another worker's, stale, or has crashed a worker: then only a message of its own claims it
    for delivery, generation in items:
        if delivery not in claimed_ids:
            context.dispatcher.send_deliveries(
                [Message(delivery=delivery, platform=platform, generation=generation, fence=0)]
            )
    return verdicts


def _claim(context: Context, items: Sequence[tuple[UUID, int]]) -> Sequence[ClaimedDelivery]:
    """Claim what can be claimed; try once more if only the epoch was in the way."""
    batch = _try_claim(context, items)
    return batch or (_try_claim(context, items) if context.send_guard.try_reopen() else ())


def _try_claim(context: Context, items: Sequence[tuple[UUID, int]]) -> Sequence[ClaimedDelivery]:
    with context.database.once() as c:
        lease = timedelta(seconds=context.settings.publish.lease)
        return claim_batch(c, context.vault, items, lease, context.level)


def requeue(context: Context, batch: Sequence[ClaimedDelivery]) -> None:
    """Give up claims at the end of this process: an unarmed delivery is queued again, an armed one becomes unknown."""
    with context.database.begin() as c:
        messages = requeue_claimed(c, batch, timedelta(seconds=context.settings.delay.queued_lease))
    failpoint("publish.handed-back")
    context.dispatcher.send_deliveries(messages)


def _run_or_requeue(context: Context, claimed: ClaimedDelivery, deadline: Deadline) -> Verdict | None:
    """Work on one delivery; if less than half of the deadline is left, queue it again untouched."""
    try:
        work = PublishSlice(context, claimed, deadline)
        if deadline.time_left() < timedelta(seconds=context.settings.publish.slice) / 2:
            return work.requeue()
        return work.run()
    except Exception:
        # its lease expires and it is rescued; the other deliveries of the message go on
        log.exception("a slice of work on delivery %s failed; %s", claimed.id, claimed.trail)
        return None


class PublishSlice:
    """One bounded slice of work on one claimed delivery, from claim to settle."""

    def __init__(self, context: Context, claimed: ClaimedDelivery, deadline: Deadline) -> None:
        self.context = context
        self.claimed = claimed
        self.deadline = deadline
        self.client = context.client(may_send=deadline.may_send)
        platform, comments = claimed.account.platform, claimed.is_comment
        self.adapter: Adapter = context.adapter(platform, self.client, comments=comments)
        self.armed_at: datetime | None = None
        self._is_alive = False  # whether the platform answered in this slice
        self._heartbeat = build_heartbeat(context, claimed)

    def requeue(self) -> Verdict | None:
        """Queue the delivery again untouched, with a message of its own."""
        return self._settle(Verdict(state=State.QUEUED, held=True))

    def run(self) -> Verdict | None:
        """Work until the slice ends, and store the verdict; every exception becomes a verdict too."""
        with tracing.trace_work("publish", self.claimed) as record_verdict:
            caught: Exception | None = None
            try:
                verdict = self._prepare_and_finalize()
            except Exception as error:
                if not isinstance(error, AdapterError):
                    log.exception(
                        "unexpected error while publishing delivery %s; %s",
                        self.claimed.id,
                        self.claimed.trail,
                    )
                caught, verdict = error, self._evaluate_error(error)
            pause_if_app_refused(self.context, self.claimed, caught)
            stored = record_verdict(self._settle(verdict))
            # a crash before this loses a sign of life, which the next call gives again
            record_result(self.context, self.claimed, self.client, caught)
            return stored

    def _prepare_and_finalize(self) -> Verdict:
        if held := self._find_hold():
            return held
        try:
            draft = self._build_draft()
        except TimeIsUp:
            return Verdict(state=State.QUEUED)  # end of the slice: images that are made stay
        except NoRoom:
            return hold(Hold.CONVERTING, NO_ROOM_PAUSE)
        self._raise_on_problems(draft)
        drafts.require_stored(self.context, draft, self.adapter.capabilities)
        prepared = self._prepare(draft)
        if isinstance(prepared, Verdict):
            return prepared
        self._is_alive = bool(self.client.calls)
        return self._finalize(draft, prepared)

    def _build_draft(self) -> Draft:
        """Build the draft; the lease is extended while its sources are read."""
        draft = drafts.build_draft(self.context, self.claimed, while_waiting=self._heartbeat.beat_if_due)
        draft = beat_while_reading(self._heartbeat, draft)
        draft = derive_images(self.context, self.claimed, draft, self.deadline)
        return beat_while_reading(self._heartbeat, draft)

    def _find_hold(self) -> Verdict | None:
        """Return the verdict that puts the delivery back, or blocks it, before any call."""
        if not self.context.may_begin():
            return hold(Hold.SHUTDOWN, state=State.QUEUED)
        if self.claimed.account_status is not AccountStatus.ACTIVE:
            return Verdict(state=State.BLOCKED, reason=Reason.RECONNECT)
        if self.claimed.unopened == "credentials":  # what only the checkpoint says is prepared once more
            return hold(Hold.VAULT, VAULT_PAUSE)
        if wait := self.context.transfers.get_wait(self.claimed.workspace_id):
            return hold(Hold.SLOW_MEDIA, wait)
        if self.claimed.needs_approval and not is_approved(self.context.database, self.claimed.post_id):
            return hold(Hold.APPROVAL)  # its media were checked anew since, perhaps
        if self.claimed.breaker == "open":  # not released before it is closed
            return hold(Hold.BREAKER)
        can = self.adapter.capabilities
        if self._quota is not None:
            with self.context.database.once() as c:
                wait = compute_quota_wait(c, self.claimed.account_id, self._quota)
            if wait:
                return hold(Hold.DAILY_QUOTA, wait)
        if self.claimed.checkpoint:
            return None
        wait = self.context.rate_buckets.take(self.claimed.account.id, "prepare", can.rates)
        return hold(Hold.RATE, wait) if wait else None

    def _raise_on_problems(self, draft: Draft) -> None:
        refused = [p for p in self.adapter.problems(draft, self.claimed.account) if p.severity == "refuse"]
        if refused:
            raise Rejected("; ".join(p.message for p in refused), code=refused[0].code)

    def _prepare(self, draft: Draft) -> Ready | Verdict:
        """Make the invisible steps and commit each checkpoint before the next one; a crash resumes from the last."""
        checkpoint: CheckpointData = self.claimed.checkpoint
        if not checkpoint and self.claimed.prepares >= self.context.settings.publish.prepares_per_day:
            raise RateLimited("It was prepared from scratch too often today.", retry_after=timedelta(hours=6))
        scratch = not checkpoint
        while True:
            result = self.adapter.prepare(draft, self.claimed.account, checkpoint)
            failpoint("publish.prepared", self.claimed.id)
            if isinstance(result, Ready):
                if not drafts.copy_sent_range(self.context, self.claimed, draft, result):
                    return result
                result = Pending(checkpoint=result.checkpoint)  # the copy took its time: ask again
            waits = retry_policy.evaluate_prepare(result)
            if waits is not None and not scratch:
                return waits
            checkpoint = result.checkpoint
            with self.context.database.once() as c:
                if not save_checkpoint(c, self.context.vault, self.claimed, checkpoint, scratch=scratch):
                    raise ClaimLost
            if waits is not None:
                return waits
            scratch = False
            failpoint("publish.checkpointed", self.claimed.id)
            late = self.deadline.time_left() < timedelta(seconds=self.context.settings.publish.slice) / 2
            ends = not self.context.may_begin()
            if late or ends:  # end of the slice: dispatched again, resumes from here
                return Verdict(state=State.QUEUED, held_for=Hold.SHUTDOWN if ends else None)

    def _finalize(self, draft: Draft, prepared: Ready) -> Verdict:
        checkpoint = prepared.checkpoint
        if self.claimed.due_at > self.claimed.now:
            # prepared ahead of time: held until due_at (_get_earliest_due)
            return hold(Hold.PREPARED_EARLY, checkpoint=checkpoint)
        if not self.context.may_begin():  # the last safe point
            return hold(Hold.SHUTDOWN, state=State.QUEUED, checkpoint=checkpoint)
        # taken right before the visible call: the invisible calls have buckets of their own
        if wait := self.context.rate_buckets.take(
            self.claimed.account.id, "finalize", self.adapter.capabilities.rates
        ):
            return hold(Hold.MIN_GAP, wait, checkpoint=checkpoint)
        drafts.record_follow_ups(self.context, self.claimed, self.adapter, draft)
        with drafts.open_sent_range(self.context, self.claimed, draft, prepared) as opened:
            return self._arm_and_send(beat_while_reading(self._heartbeat, opened), checkpoint)

    def _arm_and_send(self, draft: Draft, checkpoint: CheckpointData) -> Verdict:
        if wait := self._arm(checkpoint):
            return hold(Hold.DAILY_QUOTA, wait, checkpoint=checkpoint)
        if self.armed_at is None:  # paused, edited, or the claim is lost: nothing was sent
            return Verdict(state=State.SCHEDULED, wait=timedelta(seconds=5), checkpoint=checkpoint, held=True)
        # a crash from here on: unknown, looked at, never sent again
        failpoint("publish.armed", self.claimed.id)
        result = self.adapter.finalize(draft, self.claimed.account, checkpoint)
        failpoint("publish.answered", self.claimed.id)
        return self._evaluate_finalize(draft, result)

    @property
    def _quota(self) -> DailyQuota | None:
        if self.claimed.is_comment:
            return None
        return find_daily_quota(self.context, self.adapter.platform, drafts=self._is_draft)

    @property
    def _is_draft(self) -> bool:
        return is_inbox_draft(self.adapter, self.claimed.options)

    def _arm(self, checkpoint: CheckpointData) -> timedelta:
        """Arm, or return how long the daily quota stays used up; try again if only the epoch was in the way."""
        wait = self._try_arm(checkpoint)
        if self.armed_at is None and not wait and self.context.send_guard.try_reopen():
            wait = self._try_arm(checkpoint)
        if self.armed_at is None and not wait and not self._is_alive:
            require_sign_of_life(self.context, self.claimed, self.adapter)
            self._is_alive = True
            if self.deadline.may_send() and self.context.may_begin():  # the read took its time
                wait = self._try_arm(checkpoint)
        return wait

    def _try_arm(self, checkpoint: CheckpointData) -> timedelta:
        """Arm, under a lock of the day's count where there is a quota: no two deliveries take its last place."""
        if self._quota is None:
            with self.context.database.once() as c:
                self.armed_at = self._arm_in(c, checkpoint)
            return timedelta(0)
        with self.context.database.begin() as c:
            lock_daily_quota(c, self.claimed.account_id, self._quota.per)
            if not (wait := compute_quota_wait(c, self.claimed.account_id, self._quota)):
                self.armed_at = self._arm_in(c, checkpoint)
        return wait

    def _arm_in(self, c: Connection, checkpoint: CheckpointData) -> datetime | None:
        return arm(
            c,
            self.context.vault,
            self.claimed,
            checkpoint,
            self.deadline.time_left(),
            is_alive=self._is_alive,
            inbox_draft=self._is_draft,
            level=self.context.level,
        )

    def _evaluate_finalize(self, draft: Draft, result: FinalizeResult) -> Verdict:
        if isinstance(result, Pending) and result.wait <= timedelta(0):
            return self._look_immediately(draft, result)
        if isinstance(result, Pending) and self.context.settings.publish.look_first:
            first = look_first(self.context.settings, self.adapter.capabilities)
            result = replace(result, wait=min(result.wait, first))
        return retry_policy.evaluate_finalize(result)

    def _look_immediately(self, draft: Draft, result: Pending) -> Verdict:
        """Look at once if the platform's handle can be asked right away: this saves a message and a claim."""
        with self.context.database.once() as c:
            stored = save_checkpoint(c, self.context.vault, self.claimed, result.checkpoint, scratch=False)
        waits = Pending(checkpoint=result.checkpoint, wait=self.adapter.capabilities.look_every[0])
        # if the claim is lost, settling keeps the handle with its attempt; during a shutdown, another process looks
        if not stored or not self.context.may_begin():
            return retry_policy.evaluate_finalize(waits)
        failpoint("publish.handle-stored", self.claimed.id)
        try:
            seen = self.adapter.look(
                draft,
                self.claimed.account,
                result.checkpoint,
                self.armed_at,
                RemoteIdsOfOthers(
                    self.context.database, account=self.claimed.account_id, delivery=self.claimed.id
                ),
            )
        except AdapterError:
            return retry_policy.evaluate_finalize(waits)
        return retry_policy.evaluate_finalize(seen if isinstance(seen, Published) else waits)

    def _evaluate_error(self, error: Exception) -> Verdict:
        if isinstance(error, ClaimLost):
            return Verdict(state=State.RETRYING, error=OutcomeUnknown("the claim was lost"))
        can = self.adapter.capabilities
        state = build_retry_state(self.claimed, self.context.settings, can)
        if self.armed_at is not None:
            failpoint("publish.raised", self.claimed.id)
            state = replace(state, armed=True)
        return retry_policy.evaluate_error(error, state, build_retry_policy(self.context.settings, can))

    def _settle(self, verdict: Verdict) -> Verdict | None:
        """Store the verdict and return it as stored. If the claim was lost, keep the result as late proof instead."""
        failpoint("publish.settling", self.claimed.id)
        if verdict.refresh:
            if verdict.disarm:  # the refusal is proof: stored before the next call
                with self.context.database.once() as c:
                    disarm(c, self.claimed, verdict.error)
                failpoint("publish.disarmed", self.claimed.id)
            verdict = refresh_expired(self.context, self.claimed, verdict)
        verdict, when = settlement.settle(
            self.context, self.claimed, verdict, Mover.PUBLISH, not_before=self._get_earliest_due(verdict)
        )
        if when is None:
            settlement.keep_late_result(self.context, self.claimed, verdict, armed=self.armed_at is not None)
            return None
        failpoint("publish.settled", self.claimed.id)
        settlement.dispatch_next(self.context, self.claimed, verdict, when)
        return verdict

    def _get_earliest_due(self, verdict: Verdict) -> datetime | None:
        """Return the due time for a delivery that was prepared early, so that it is not touched before."""
        held_early = verdict.state is State.SCHEDULED and verdict.checkpoint is not None
        return self.claimed.due_at if held_early else None
