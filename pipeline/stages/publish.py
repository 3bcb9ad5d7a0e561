"""Sending one delivery: claim, prepare step by step, arm, the one visible call, settle.

Reads a queued delivery; leaves it published, processing, preparing, scheduled (prepared early, or held), queued (end
of a slice), retrying, unknown, blocked or failed. What a crash leaves at each point stands beside the code.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

from adapters.contract import Adapter, Checkpoint, Draft, Finalized, Pending, Published, Ready
from adapters.errors import AdapterError, OutcomeUnknown, RateLimited, Rejected
from pipeline.accounts import refresh as credentials
from pipeline.context import Context
from pipeline.domain import retry_policy as decide
from pipeline.domain.account import AccountStatus
from pipeline.domain.delivery import ALWAYS_ARMED, Mover, Reason, State
from pipeline.domain.retry_policy import Verdict
from pipeline.domain.schedule import slot_end
from pipeline.failpoint import failpoint
from pipeline.stages import settle as settling
from pipeline.stages.deadline import Deadline
from pipeline.stages.drafts import draft_of
from pipeline.stages.lease_heartbeat import beating
from pipeline.stages.retry_inputs import look_first, policy_of, standing_of
from pipeline.store.deliveries import moves as store
from pipeline.store.deliveries.claimed import ClaimedDelivery
from pipeline.store.deliveries.daily_quota import lock_day, room_in_day
from pipeline.store.deliveries.disarm import disarm
from pipeline.store.deliveries.lease import give_back
from pipeline.store.deliveries.ownership import Taken
from pipeline.store.deliveries.release import Message

log = logging.getLogger("slipway.publish")


def publish(context: Context, delivery: UUID, generation: int) -> State | None:
    """One slice of work on one delivery; None when somebody else has it, the message is stale, or nothing may be sent.

    What is not claimed while nothing may be sent stays queued: it is rung again when its lease has run out.
    """
    if not context.send_guard.open():
        return None
    # the deadline is taken before the claim is sent, never after
    deadline = Deadline(timedelta(seconds=context.settings.publish.slice))
    claimed = _claim(context, [(delivery, generation)])
    if not claimed:
        return None
    [held] = claimed
    with context.shutdown.holding(partial(hand_back, context, [held])):
        failpoint("publish.claimed", held.id)  # a crash here: the lease runs out, not armed -> queued again
        return Slice(context, held, deadline).run()


def publish_all(context: Context, platform: str, items: Sequence[tuple[UUID, int]]) -> None:
    """A handful of deliveries in one message, claimed in one statement, within the one deadline of that claim."""
    if len(items) == 1:
        publish(context, *items[0])
        return
    if not context.send_guard.open():
        return
    deadline = Deadline(timedelta(seconds=context.settings.publish.slice))
    claimed = _claim(context, items)
    failpoint("publish.claimed-several", *(held.id for held in claimed))
    taken = {held.id for held in claimed}
    with context.shutdown.holding(partial(hand_back, context, claimed)):
        for held in claimed:
            _one_of_several(context, held, deadline)
    # whatever was not taken is somebody else's, stale, or has crashed a worker: that one travels alone
    for delivery, generation in items:
        if delivery not in taken:
            context.dispatcher.publish(
                [Message(delivery=delivery, platform=platform, generation=generation, fence=0)]
            )


def _claim(context: Context, items: Sequence[tuple[UUID, int]]) -> Sequence[ClaimedDelivery]:
    """Those that are there to be taken. Asked once more when only the mark stood in the way."""
    claimed = _claim_once(context, items)
    return claimed or (_claim_once(context, items) if context.send_guard.reopened() else ())


def _claim_once(context: Context, items: Sequence[tuple[UUID, int]]) -> Sequence[ClaimedDelivery]:
    with context.database.once() as c:
        return store.claim_several(c, context.vault, items, timedelta(seconds=context.settings.publish.lease))


def hand_back(context: Context, some: Sequence[ClaimedDelivery]) -> None:
    """This process ends in the middle of these: not armed goes into the queue at once, armed is looked at at once."""
    with context.database.begin() as c:
        rings = give_back(c, some, timedelta(seconds=context.settings.delay.queued_lease))
    failpoint("publish.handed-back")
    context.dispatcher.publish(rings)


def _one_of_several(context: Context, held: ClaimedDelivery, deadline: Deadline) -> None:
    """Runs one; when the others before it used the time up, it goes back to the queue untouched."""
    try:
        work = Slice(context, held, deadline)
        if deadline.left() < timedelta(seconds=context.settings.publish.slice) / 2:
            work.hand_back()
        else:
            work.run()
    except Exception:
        # its lease runs out and it is rescued; the others of the message are not its fault
        log.exception("a slice of %s broke off", held.id)


class Slice:
    """One worker's bounded hold of one delivery, from claim to settle."""

    def __init__(self, context: Context, held: ClaimedDelivery, deadline: Deadline) -> None:
        self.context = context
        self.held = held
        self.deadline = deadline
        self.client = context.client(may_send=deadline.may_send)
        self.adapter: Adapter = context.adapter(held.account.platform, self.client)
        self.armed_at: datetime | None = None

    def hand_back(self) -> State | None:
        """Nothing was done: queued again, with a message of its own."""
        return self._settle(Verdict(state=State.QUEUED))

    def run(self) -> State | None:
        """Goes as far as this slice can; whatever happens becomes a verdict."""
        try:
            verdict = self._work()
        except Exception as error:
            if not isinstance(error, AdapterError):
                log.exception("unforeseen while publishing %s", self.held.id)
            verdict = self._of_error(error)
        return self._settle(verdict)

    def _work(self) -> Verdict:
        if held_back := self._held_back():
            return held_back
        draft = beating(self.context, self.held, draft_of(self.context, self.held))
        self._refuse_problems(draft)
        prepared = self._prepare(draft)
        if isinstance(prepared, Verdict):
            return prepared
        return self._finalize(draft, prepared.checkpoint)

    def _held_back(self) -> Verdict | None:
        """Reasons to wait that cost nothing: a process about to end, a dead grant, a full day, an empty bucket."""
        if not self.context.may_begin():
            return Verdict(state=State.QUEUED)
        if self.held.account_status is not AccountStatus.ACTIVE:
            return Verdict(state=State.BLOCKED, reason=Reason.RECONNECT)
        can = self.adapter.capabilities
        if self._daily is not None:
            with self.context.database.once() as c:
                wait = room_in_day(c, self.held.account_id, self._daily, can.daily_per)
            if wait:
                return Verdict(state=State.SCHEDULED, wait=wait)
        if self.held.checkpoint:
            return None
        wait = self.context.rate_buckets.wait(self.held.account.id, "prepare", can.rates)
        return Verdict(state=State.SCHEDULED, wait=wait) if wait else None

    def _refuse_problems(self, draft: Draft) -> None:
        refused = [p for p in self.adapter.problems(draft, self.held.account) if p.severity == "refuse"]
        if refused:
            raise Rejected("; ".join(p.message for p in refused), code=refused[0].code)

    def _prepare(self, draft: Draft) -> Ready | Verdict:
        """Invisible steps, each committed before the next; a crash anywhere goes on from the last one."""
        checkpoint: Checkpoint = self.held.checkpoint
        if not checkpoint and self.held.prepares >= self.context.settings.publish.prepares_per_day:
            raise RateLimited("It was prepared from scratch too often today.", retry_after=timedelta(hours=6))
        scratch = not checkpoint
        while True:
            result = self.adapter.prepare(draft, self.held.account, checkpoint)
            failpoint("publish.prepared", self.held.id)
            if isinstance(result, Ready):
                return result
            waits = decide.of_prepared(result)
            if waits is not None and not scratch:
                return waits
            checkpoint = result.checkpoint
            with self.context.database.once() as c:
                if not store.save_checkpoint(c, self.context.vault, self.held, checkpoint, scratch=scratch):
                    raise ClaimLost
            if waits is not None:
                return waits
            scratch = False
            failpoint("publish.checkpointed", self.held.id)
            late = self.deadline.left() < timedelta(seconds=self.context.settings.publish.slice) / 2
            if late or not self.context.may_begin():
                return Verdict(state=State.QUEUED)  # the end of a slice: rung again, goes on from here

    def _finalize(self, draft: Draft, checkpoint: Checkpoint) -> Verdict:
        if self.held.due_at > self.held.now:  # prepared ahead of time: hold it until it is due
            return Verdict(state=State.SCHEDULED, checkpoint=checkpoint)  # until due_at: see _not_before
        if not self.context.may_begin():  # the last safe point
            return Verdict(state=State.QUEUED, checkpoint=checkpoint)
        # asked only now, right before it is used: a bucket of the visible call says nothing about the invisible ones
        if wait := self.context.rate_buckets.wait(
            self.held.account.id, "finalize", self.adapter.capabilities.rates
        ):
            return Verdict(state=State.SCHEDULED, wait=wait, checkpoint=checkpoint)
        if wait := self._arm(checkpoint):
            return Verdict(state=State.SCHEDULED, wait=wait, checkpoint=checkpoint)
        if self.armed_at is None:  # paused, edited, or the claim is lost: nothing was sent
            return Verdict(state=State.SCHEDULED, wait=timedelta(seconds=5), checkpoint=checkpoint)
        # from here on a crash means unknown: looked at, never sent again
        failpoint("publish.armed", self.held.id)
        result = self.adapter.finalize(draft, self.held.account, checkpoint)
        failpoint("publish.answered", self.held.id)
        return self._of_finalized(draft, result)

    @property
    def _daily(self) -> int | None:
        return None if self.context.settings.sandbox.lifted else self.adapter.capabilities.daily_posts

    def _arm(self, checkpoint: Checkpoint) -> timedelta:
        """Arms, or says how long the day is still full. Once more when only the mark stood in the way."""
        wait = self._arm_once(checkpoint)
        if self.armed_at is None and not wait and self.context.send_guard.reopened():
            wait = self._arm_once(checkpoint)
        return wait

    def _arm_once(self, checkpoint: Checkpoint) -> timedelta:
        """The day is counted under a lock, so that no two take its last place."""
        if self._daily is None:
            with self.context.database.once() as c:
                self.armed_at = store.arm(c, self.context.vault, self.held, checkpoint, self.deadline.left())
            return timedelta(0)
        account, per = self.held.account_id, self.adapter.capabilities.daily_per
        with self.context.database.begin() as c:
            lock_day(c, account, per)
            if not (wait := room_in_day(c, account, self._daily, per)):
                self.armed_at = store.arm(c, self.context.vault, self.held, checkpoint, self.deadline.left())
        return wait

    def _of_finalized(self, draft: Draft, result: Finalized) -> Verdict:
        if isinstance(result, Pending) and result.wait <= timedelta(0):
            return self._look_at_once(draft, result)
        if isinstance(result, Pending) and self.context.settings.publish.look_first:
            result = replace(result, wait=min(result.wait, self._first_look()))
        return decide.of_finalized(result)

    def _look_at_once(self, draft: Draft, result: Pending) -> Verdict:
        """The platform answered with a handle that can be asked right away: saves a message and a claim."""
        with self.context.database.once() as c:
            stored = store.save_checkpoint(c, self.context.vault, self.held, result.checkpoint, scratch=False)
        waits = Pending(checkpoint=result.checkpoint, wait=self.adapter.capabilities.look_every[0])
        # the claim is lost: settling keeps the handle with its attempt; or this process ends: another one looks
        if not stored or not self.context.may_begin():
            return decide.of_finalized(waits)
        failpoint("publish.handle-stored", self.held.id)
        try:
            seen = self.adapter.look(
                draft,
                self.held.account,
                result.checkpoint,
                self.armed_at,
                Taken(self.context.database, account=self.held.account_id, delivery=self.held.id),
            )
        except AdapterError:
            return decide.of_finalized(waits)
        return decide.of_finalized(seen if isinstance(seen, Published) else waits)

    def _first_look(self) -> timedelta:
        return look_first(self.context.settings, self.adapter.capabilities)

    def _of_error(self, error: Exception) -> Verdict:
        if isinstance(error, ClaimLost):
            return Verdict(state=State.RETRYING, error=OutcomeUnknown("the claim was lost"))
        can = self.adapter.capabilities
        standing = standing_of(self.held, self.context.settings, can)
        if self.armed_at is not None:
            failpoint("publish.raised", self.held.id)
            standing = replace(standing, armed_for=timedelta(0))
        return decide.of_error(error, standing, policy_of(self.context.settings, can))

    def _settle(self, verdict: Verdict) -> State | None:
        """Stores the verdict. When the claim was lost meanwhile, what was learnt is kept as late proof."""
        failpoint("publish.settling", self.held.id)
        if verdict.refresh:
            if verdict.disarm:  # the refusal is proof, and kept before anybody else is called
                with self.context.database.once() as c:
                    disarm(c, self.held, verdict.error)
                failpoint("publish.disarmed", self.held.id)
            verdict = credentials.after_expiry(self.context, self.held, verdict)
        verdict, when = settling.settle(
            self.context, self.held, verdict, Mover.PUBLISH, not_before=self._not_before(verdict)
        )
        if when is None:
            settling.claim_was_lost(self.context, self.held, verdict, armed=self.armed_at is not None)
            return None
        failpoint("publish.settled", self.held.id)
        self._ring(verdict, when)
        return verdict.state

    def _not_before(self, verdict: Verdict) -> datetime | None:
        """Prepared early and held: due exactly when the customer said."""
        held_early = verdict.state is State.SCHEDULED and verdict.checkpoint is not None
        return self.held.due_at if held_early else None

    def _ring(self, verdict: Verdict, when: datetime) -> None:
        if verdict.state is State.QUEUED:
            self.context.dispatcher.publish([Message.of(self.held)])
        elif verdict.state not in (State.PUBLISHED, State.FAILED, State.BLOCKED):
            ring_at(self.context, when, verdict.state)


class ClaimLost(Exception):
    """Somebody else holds the delivery now: this worker stops."""


def ring_at(context: Context, when: datetime, state: State = State.SCHEDULED) -> None:
    """A doorbell for a time within the horizon; anything later is the sweep's to ring: a wrong clock costs a second.

    After the visible call nothing is late any more: those looks come together in wider slots.
    """
    delay = context.settings.delay
    if when - datetime.now(UTC) <= timedelta(seconds=delay.horizon):
        width = delay.look_slot if state in ALWAYS_ARMED else delay.slot
        context.dispatcher.slots([slot_end(when, timedelta(seconds=width))])
