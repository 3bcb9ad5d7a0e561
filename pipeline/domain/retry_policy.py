"""The retry policy: the verdict on a delivery after each result or error. Celery's own retries are off.

Every function is pure and returns a ``Verdict``. ``wait`` counts from the time the verdict is stored.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from adapters.contract import (
    Absent,
    CannotTell,
    CheckpointData,
    Ended,
    FinalizeResult,
    LookResult,
    Pending,
    PrepareResult,
    Published,
    Ready,
)
from adapters.errors import (
    AdapterError,
    AppRefused,
    CredentialsExpired,
    NeedsPerson,
    OutcomeUnknown,
    Permanent,
    RateLimited,
    Retryable,
    StorageFault,
    Unavailable,
)
from pipeline.domain.delivery import Reason, State
from pipeline.domain.delivery_error import (
    PLATFORM,
    RATE_LIMIT,
    STORAGE,
    find_party,
    make_asked_too_long,
    make_cannot_be_asked,
    make_cannot_tell,
    make_outlasted,
    make_preparing_timed_out,
    make_proven_absent,
    make_restored,
    to_adapter_error,
    to_outcome_unknown,
)
from pipeline.domain.hold import Hold
from pipeline.domain.post import backoff, look_pause, outage_pause
from pipeline.domain.verdict import Outcome, RetryPolicy, RetryState, Verdict


def evaluate_prepare(result: PrepareResult) -> Verdict | None:
    """Evaluate what ``prepare`` returned. None: go on in this slice (ready, or one more step)."""
    if isinstance(result, Pending) and result.wait > timedelta(0):
        return Verdict(state=State.PREPARING, wait=result.wait, checkpoint=result.checkpoint)
    return None


def evaluate_finalize(result: FinalizeResult) -> Verdict:
    """Evaluate what ``finalize`` returned."""
    if isinstance(result, Published):
        return Verdict(state=State.PUBLISHED, spent=True, closes=Outcome.PUBLISHED, published=result)
    return Verdict(state=State.PROCESSING, wait=_clamp_to_zero(result.wait), checkpoint=result.checkpoint)


def evaluate_conflict(published: Published) -> Verdict:
    """Evaluate a live post that already belongs to another delivery: an operator decides which of the two it is."""
    return Verdict(
        state=State.BLOCKED,
        reason=Reason.IS_IT_LIVE,
        error=OutcomeUnknown(
            f"The platform names the post {published.remote_id}, which another delivery of this account has.",
            code="remote_id_taken",
            next_action="Look at the account: are both posts live? Then say so with the URL, or publish it again.",
        ),
    )


def evaluate_error(error: Exception, retry: RetryState, policy: RetryPolicy) -> Verdict:
    """Evaluate what ``prepare`` or ``finalize`` raised.

    After arm, only a refusal given before the platform acted proves that nothing was published.
    """
    if isinstance(error, CredentialsExpired):
        return _evaluate_expiry(error, retry, policy)
    if isinstance(error, AppRefused):  # its platform is paused, so the wait only says how soon it goes on
        return Verdict(
            state=State.RETRYING,
            wait=policy.backoff,
            disarm=retry.armed,
            closes=_close_as_refused(retry),
            error=error,
        )
    if isinstance(error, RateLimited):
        return _evaluate_rate_limit(error, retry, policy, closes=_close_as_refused(retry))
    if isinstance(error, Unavailable) and (party := find_party(error, armed=retry.armed)):
        return _evaluate_outage(error, party, retry, policy)
    if isinstance(error, Retryable) and not isinstance(error, StorageFault):
        return _retry_or_fail(error, retry, policy, closes=Outcome.REFUSED, disarm=retry.armed)
    if isinstance(error, Permanent):
        return _fail(error, disarm=retry.armed)
    if isinstance(error, NeedsPerson):
        return _await_reconnect(error, retry, closes=Outcome.REFUSED)
    if retry.armed:
        # looked at soon: proof that it is live may come early, absence counts only after the settle window
        return Verdict(state=State.UNKNOWN, wait=policy.look_first, error=to_outcome_unknown(error))
    if retry.unexpected_errors + 1 >= policy.crashes:
        return Verdict(
            state=State.BLOCKED,
            reason=Reason.PERSON_NEEDED,
            spent=True,
            closes=Outcome.REFUSED,
            unexpected=True,
            error=to_adapter_error(error),
        )
    verdict = _retry_or_fail(to_adapter_error(error), retry, policy, closes=Outcome.REFUSED, disarm=False)
    return replace(verdict, unexpected=True)


def evaluate_refresh_error(
    verdict: Verdict, error: Unavailable, retry: RetryState, policy: RetryPolicy
) -> Verdict:
    """Evaluate a refresh that the platform did not answer, after the *verdict* on an expired token."""
    outage = _evaluate_outage(error, PLATFORM, replace(retry, armed=False), policy)
    closes = verdict.closes if outage.state is State.RETRYING else outage.closes
    return replace(outage, disarm=verdict.disarm, closes=closes)


def evaluate_look(seen: LookResult, retry: RetryState, policy: RetryPolicy) -> Verdict:
    """Evaluate what ``look`` returned. ``armed`` says whether the visible call was made."""
    if isinstance(seen, Published):
        return Verdict(state=State.PUBLISHED, spent=True, closes=Outcome.PUBLISHED, published=seen)
    if retry.in_doubt:
        return _evaluate_unresolved_look(seen, retry, policy)
    if isinstance(seen, Ended):
        return _evaluate_ended(seen, retry, policy)
    if not retry.armed:
        return _evaluate_look_unarmed(seen, retry, policy)
    if isinstance(seen, Ready | Absent):
        return _evaluate_absence(seen, retry, policy)
    if isinstance(seen, Pending):
        return _keep_waiting(State.PROCESSING, seen.checkpoint, seen.wait, retry, policy)
    if seen.is_final:
        return _await_operator(seen, retry)
    return _keep_waiting(State.UNKNOWN, None, timedelta(0), retry, policy)


def evaluate_look_error(error: Exception, retry: RetryState, policy: RetryPolicy, state: State) -> Verdict:
    """Evaluate a failed look. An armed delivery stays in *state*, and the wait does not count towards the limit."""
    if not retry.armed:
        return evaluate_error(error, retry, policy)
    wait = look_pause(retry.looks, policy.look_first, policy.look_longest)
    if isinstance(error, Retryable) and error.retry_after:
        wait = max(wait, error.retry_after)
    if isinstance(error, CredentialsExpired) and not retry.stale_before:
        wait = timedelta(0)
    return Verdict(
        state=state,
        wait=wait,
        refresh=isinstance(error, CredentialsExpired),
        uncounted=True,
        reconnect=isinstance(error, NeedsPerson),
        error=to_adapter_error(error),
    )


def _evaluate_unresolved_look(seen: LookResult, retry: RetryState, policy: RetryPolicy) -> Verdict:
    """Evaluate a look after a restore: it can prove presence only. An operator decides if two late looks find none."""
    if isinstance(seen, Pending):
        return _keep_waiting(State.PROCESSING, None, seen.wait, retry, policy)
    if isinstance(seen, CannotTell):
        error = make_restored(seen.reason, seen.candidates)
    else:  # by a handle of the backup, which proves no absence
        error = make_restored("The platform gives no proof.")
    if retry.absent_before and retry.late_enough:
        return Verdict(state=State.BLOCKED, reason=Reason.IS_IT_LIVE, error=error)
    wait = policy.look_first if retry.late_enough else max(policy.settle, policy.look_first)
    return Verdict(state=State.UNKNOWN, wait=wait, error=error)


def _await_operator(seen: CannotTell, retry: RetryState) -> Verdict:
    """Evaluate a post that no look can show: an operator decides, as soon as nothing can appear any more."""
    error = make_cannot_be_asked(seen.reason)
    if retry.may_appear_for > timedelta(0):
        return Verdict(state=State.UNKNOWN, wait=retry.may_appear_for, uncounted=True, error=error)
    error = make_cannot_tell(retry.platform_code, retry.platform_message, finding=error.message)
    return Verdict(state=State.BLOCKED, reason=Reason.IS_IT_LIVE, error=error)


def _evaluate_look_unarmed(seen: LookResult, retry: RetryState, policy: RetryPolicy) -> Verdict:
    if isinstance(seen, Ready):
        return Verdict(state=State.QUEUED, checkpoint=seen.checkpoint)
    if isinstance(seen, Absent):
        return _retry_or_fail(
            make_proven_absent(), retry, policy, closes=Outcome.REFUSED, disarm=False, checkpoint={}
        )
    if retry.waited >= policy.look_limit:
        return _retry_or_fail(
            make_preparing_timed_out(), retry, policy, closes=Outcome.REFUSED, disarm=False, checkpoint={}
        )
    wait = _choose_look_wait(seen.wait if isinstance(seen, Pending) else timedelta(0), retry, policy)
    kept = seen.checkpoint if isinstance(seen, Pending) else None
    return Verdict(state=State.PREPARING, wait=wait, checkpoint=kept)


def _evaluate_absence(seen: Ready | Absent, retry: RetryState, policy: RetryPolicy) -> Verdict:
    """Evaluate a look that found nothing: absence counts after two looks, the first when nothing can appear now."""
    if retry.absent_before and retry.late_enough:
        return _retry_or_fail(
            make_proven_absent(retry.platform_code, retry.platform_message, retry.refusal),
            retry,
            policy,
            closes=Outcome.ABSENT,
            disarm=True,
            checkpoint=seen.checkpoint,
        )
    wait = policy.look_first if retry.late_enough else max(policy.settle, policy.look_first)
    return Verdict(state=State.UNKNOWN, wait=wait)


def _keep_waiting(
    state: State, checkpoint: CheckpointData | None, wait: timedelta, retry: RetryState, policy: RetryPolicy
) -> Verdict:
    if retry.waited >= policy.look_limit:
        error = make_cannot_tell(retry.platform_code, retry.platform_message)
        return Verdict(state=State.BLOCKED, reason=Reason.IS_IT_LIVE, error=error)
    return Verdict(state=state, wait=_choose_look_wait(wait, retry, policy), checkpoint=checkpoint)


def _evaluate_ended(seen: Ended, retry: RetryState, policy: RetryPolicy) -> Verdict:
    """Evaluate a platform's final answer that nothing is live: one look suffices, and the old handle is dropped."""
    if isinstance(seen.error, NeedsPerson):
        return replace(_await_reconnect(seen.error, retry, closes=Outcome.FAILED), checkpoint={})
    if isinstance(seen.error, RateLimited):
        verdict = _evaluate_rate_limit(seen.error, retry, policy, closes=Outcome.FAILED)
        return replace(verdict, checkpoint={})
    return _retry_or_fail(seen.error, retry, policy, closes=Outcome.FAILED, disarm=retry.armed, checkpoint={})


def _fail(error: AdapterError, *, disarm: bool) -> Verdict:
    return Verdict(state=State.FAILED, spent=True, closes=Outcome.FAILED, disarm=disarm, error=error)


def _await_reconnect(error: NeedsPerson, retry: RetryState, *, closes: Outcome) -> Verdict:
    return Verdict(
        state=State.BLOCKED,
        reason=Reason.RECONNECT,
        reconnect=True,
        spent=True,
        closes=closes,
        disarm=retry.armed,
        error=error,
    )


def _retry_or_fail(
    error: AdapterError,
    retry: RetryState,
    policy: RetryPolicy,
    *,
    closes: Outcome,
    disarm: bool,
    checkpoint: CheckpointData | None = None,
) -> Verdict:
    if isinstance(error, Permanent) or retry.spent + 1 >= policy.tries:
        return _fail(error, disarm=disarm)
    asked = error.retry_after if isinstance(error, Retryable) else None
    wait = asked or backoff(retry.spent, base=policy.backoff, cap=policy.cap, chance=policy.chance)
    return Verdict(
        state=State.RETRYING,
        wait=_clamp_to_zero(wait),
        spent=True,
        closes=closes,
        disarm=disarm,
        checkpoint=checkpoint,
        error=error,
    )


def _evaluate_rate_limit(
    error: RateLimited, retry: RetryState, policy: RetryPolicy, *, closes: Outcome | None
) -> Verdict:
    """Wait as long as the platform asks to, without spending a try; after the time limit an operator has to look."""
    verdict = Verdict(
        state=State.RETRYING,
        wait=_clamp_to_zero(error.retry_after or policy.cap),
        disarm=retry.armed,
        closes=closes,
        unavailable=RATE_LIMIT,
        held_for=Hold.RATE,
        error=error,
    )
    if retry.unavailable_for.get(RATE_LIMIT, timedelta(0)) < policy.rate_time_limit:
        return verdict
    asked = make_asked_too_long(error, policy.rate_time_limit.days)
    return replace(
        verdict,
        state=State.BLOCKED,
        reason=Reason.PERSON_NEEDED,
        wait=timedelta(0),
        held_for=None,
        error=asked,
    )


def _evaluate_outage(error: Unavailable, party: str, retry: RetryState, policy: RetryPolicy) -> Verdict:
    """Wait for an outage to end, without spending a try; fail once it has outlasted the time limit, if any."""
    age = retry.unavailable_for.get(party, timedelta(0))
    time_limit = {PLATFORM: policy.time_limit, STORAGE: timedelta.max}.get(party, policy.media_time_limit)
    if party in retry.unavailable_for and age >= time_limit:
        return replace(_fail(make_outlasted(error, party), disarm=retry.armed), unavailable=party)
    wait = error.retry_after or outage_pause(
        age, base=policy.backoff, cap=policy.outage_cap, chance=policy.chance
    )
    return Verdict(
        state=State.RETRYING,
        wait=_clamp_to_zero(wait),
        disarm=retry.armed,
        closes=_close_as_refused(retry),
        unavailable=party,
        held_for=Hold.STORAGE if party == STORAGE else None,
        error=error,
    )


def _evaluate_expiry(error: CredentialsExpired, retry: RetryState, policy: RetryPolicy) -> Verdict:
    """Refresh and try again at once. If the refreshed token has expired too, it costs a try, so this ends."""
    if retry.stale_before:
        verdict = _retry_or_fail(error, retry, policy, closes=Outcome.REFUSED, disarm=retry.armed)
        return replace(verdict, refresh=verdict.state is State.RETRYING)
    return Verdict(
        state=State.RETRYING, refresh=True, disarm=retry.armed, closes=_close_as_refused(retry), error=error
    )


def _clamp_to_zero(wait: timedelta) -> timedelta:
    """Return at least zero: the wait may come from a platform whose clock is ahead of ours."""
    return max(wait, timedelta(0))


def _close_as_refused(retry: RetryState) -> Outcome | None:
    """Return how a refusal closes the attempt: not at all before arm; after arm it proves that nothing was sent."""
    return Outcome.REFUSED if retry.armed else None


def _choose_look_wait(asked: timedelta, retry: RetryState, policy: RetryPolicy) -> timedelta:
    """Return the wait the adapter asked for; without one, pauses that grow with each look."""
    if asked > timedelta(0):
        return asked if policy.asked_cap is None else min(asked, policy.asked_cap)
    return look_pause(retry.looks, policy.look_first, policy.look_longest)
