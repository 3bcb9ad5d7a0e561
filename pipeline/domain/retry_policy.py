"""The whole retry policy on one screen: what an outcome makes of a delivery. Celery's own retries are off.

Every function is pure: outcome in, ``Verdict`` out. ``wait`` is counted from the moment the verdict is stored.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum

from adapters.contract import Absent, Checkpoint, Ended, Finalized, Pending, Prepared, Published, Ready, Seen
from adapters.errors import (
    AdapterError,
    CredentialsExpired,
    NeedsPerson,
    OutcomeUnknown,
    Permanent,
    RateLimited,
    Retryable,
)
from pipeline.domain.delivery import Reason, State
from pipeline.domain.schedule import backoff, look_pause


class Outcome(StrEnum):
    """How an attempt ended; None while it is open."""

    PUBLISHED = "published"
    REFUSED = "refused"  #: proven not to have acted, before or after arm
    FAILED = "failed"  #: the platform says for good that it did not go out
    ABSENT = "absent"  #: armed, and proven not to be there
    DECIDED = "decided"  #: a person decided


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What becomes of the delivery. ``spent``: an attempt is used up. ``closes``: how the open attempt ends."""

    state: State
    wait: timedelta = timedelta(0)
    spent: bool = False
    closes: Outcome | None = None
    disarm: bool = False
    """The attempt is proven not to have acted: the delivery is no longer armed."""
    checkpoint: Checkpoint | None = None
    """None keeps the stored one; an empty one starts from scratch."""
    reason: Reason | None = None
    reconnect: bool = False
    refresh: bool = False
    surprise: bool = False
    """Something unforeseen before arm: a few of these and a person has to look."""
    uncounted: bool = False
    """The platform could not be asked: this wait does not count towards its limit."""
    published: Published | None = None
    error: AdapterError | None = field(default=None, compare=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """The numbers, and the one roll of the dice a verdict needs."""

    tries: int
    backoff: timedelta
    cap: timedelta
    chance: float
    settle: timedelta
    """How long after arm the platform may still show the post late."""
    look_first: timedelta
    look_longest: timedelta
    look_limit: timedelta
    """How long an unfinished publish is waited for."""
    crashes: int = 3
    asked_cap: timedelta | None = None
    """Longest pause an adapter may ask for; None = as long as it likes (tests are in a hurry)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """What is known of the delivery when the outcome comes in."""

    spent: int = 0
    looks: int = 0
    surprises: int = 0
    """Unforeseen errors before arm so far."""
    stale_before: bool = False
    """The last thing said of this delivery was already that the token is stale; it was refreshed since."""
    armed_for: timedelta | None = None
    """Time since arm; None = not armed."""
    waited: timedelta = timedelta(0)
    """Time since the platform began to work on it."""
    absent_before: bool = False
    """An earlier look, itself late enough, already found nothing."""
    late_enough: bool = False
    """Now is later than the attempt's deadline + the HTTP deadline + the settle window."""
    in_doubt: bool = False
    """It was found in a restored database, which may lack a later attempt: what its own handle says proves nothing."""


def of_prepared(result: Prepared) -> Verdict | None:
    """What prepare answered; None means go on in this slice (Ready, or one more step)."""
    if isinstance(result, Pending) and result.wait > timedelta(0):
        return Verdict(state=State.PREPARING, wait=result.wait, checkpoint=result.checkpoint)
    return None


def of_finalized(result: Finalized) -> Verdict:
    """What the visible call answered, when it answered clearly."""
    if isinstance(result, Published):
        return Verdict(state=State.PUBLISHED, spent=True, closes=Outcome.PUBLISHED, published=result)
    return Verdict(state=State.PROCESSING, wait=_never_negative(result.wait), checkpoint=result.checkpoint)


def of_conflict(published: Published) -> Verdict:
    """The post that the platform names already belongs to another delivery: one of the two took the other's."""
    return Verdict(
        state=State.BLOCKED,
        reason=Reason.IS_IT_LIVE,
        error=OutcomeUnknown(
            f"The platform names the post {published.remote_id}, which another delivery of this account has.",
            code="remote_id_taken",
            next_action="Look at the account: are both posts live? Then say so with the URL, or publish it again.",
        ),
    )


def of_error(error: Exception, standing: Standing, policy: Policy) -> Verdict:
    """What prepare or finalize raised. After arm, only a refusal given before acting is proof that nothing went out."""
    armed = standing.armed_for is not None
    if isinstance(error, CredentialsExpired):
        return _stale(error, standing, policy)
    if isinstance(error, RateLimited):
        wait = _never_negative(error.retry_after or policy.cap)
        return Verdict(state=State.RETRYING, wait=wait, disarm=armed, closes=_refused(armed), error=error)
    if isinstance(error, Retryable):
        return _spent(error, standing, policy, closes=Outcome.REFUSED, disarm=armed)
    if isinstance(error, Permanent):
        return Verdict(state=State.FAILED, spent=True, closes=Outcome.FAILED, disarm=armed, error=error)
    if isinstance(error, NeedsPerson):
        return Verdict(
            state=State.BLOCKED,
            reason=Reason.RECONNECT,
            reconnect=True,
            spent=True,
            closes=Outcome.REFUSED,
            disarm=armed,
            error=error,
        )
    if armed:
        # looked at soon, for proof of life may come early; "not there" counts only after the settle window
        return Verdict(state=State.UNKNOWN, wait=policy.look_first, error=_unknown(error))
    if standing.surprises + 1 >= policy.crashes:
        return Verdict(
            state=State.BLOCKED,
            reason=Reason.PERSON_NEEDED,
            spent=True,
            closes=Outcome.REFUSED,
            surprise=True,
            error=_surprise(error),
        )
    return replace(
        _spent(_surprise(error), standing, policy, closes=Outcome.REFUSED, disarm=False), surprise=True
    )


def of_look(seen: Seen, standing: Standing, policy: Policy) -> Verdict:
    """What a look saw. ``standing.armed_for`` tells whether the visible call was made."""
    if isinstance(seen, Published):
        return Verdict(state=State.PUBLISHED, spent=True, closes=Outcome.PUBLISHED, published=seen)
    if standing.in_doubt:
        return _of_look_in_doubt(seen, standing, policy)
    if isinstance(seen, Ended):
        return _ended(seen, standing, policy)
    if standing.armed_for is None:
        return _of_look_unarmed(seen, standing, policy)
    if isinstance(seen, Ready | Absent):
        return _of_absence(seen, standing, policy)
    if isinstance(seen, Pending):
        return _of_wait(State.PROCESSING, seen.checkpoint, seen.wait, standing, policy)
    return _of_wait(State.UNKNOWN, None, timedelta(0), standing, policy)


def of_look_error(error: Exception, standing: Standing, policy: Policy, state: State) -> Verdict:
    """A look that could not be made. Armed: it stays as it is and never counts towards the limit."""
    if standing.armed_for is None:
        return of_error(error, standing, policy)
    wait = look_pause(standing.looks, policy.look_first, policy.look_longest)
    if isinstance(error, Retryable) and error.retry_after:
        wait = max(wait, error.retry_after)
    if isinstance(error, CredentialsExpired) and not standing.stale_before:
        wait = timedelta(0)
    return Verdict(
        state=state,
        wait=wait,
        refresh=isinstance(error, CredentialsExpired),
        uncounted=True,
        reconnect=isinstance(error, NeedsPerson),
        error=_surprise(error),
    )


def _of_look_in_doubt(seen: Seen, standing: Standing, policy: Policy) -> Verdict:
    """Only life can be proven. What two looks did not find, the first of them late enough, a person has to tell."""
    if isinstance(seen, Pending):
        return _of_wait(State.PROCESSING, None, seen.wait, standing, policy)
    if standing.absent_before and standing.late_enough:
        return Verdict(state=State.BLOCKED, reason=Reason.IS_IT_LIVE, error=_in_doubt())
    wait = policy.look_first if standing.late_enough else max(policy.settle, policy.look_first)
    return Verdict(state=State.UNKNOWN, wait=wait)


def _of_look_unarmed(seen: Seen, standing: Standing, policy: Policy) -> Verdict:
    if isinstance(seen, Ready):
        return Verdict(state=State.QUEUED, checkpoint=seen.checkpoint)
    if isinstance(seen, Absent):
        return _spent(_lost(), standing, policy, closes=Outcome.REFUSED, disarm=False, checkpoint={})
    if standing.waited >= policy.look_limit:
        return _spent(_too_slow(), standing, policy, closes=Outcome.REFUSED, disarm=False, checkpoint={})
    wait = _look_wait(seen.wait if isinstance(seen, Pending) else timedelta(0), standing, policy)
    kept = seen.checkpoint if isinstance(seen, Pending) else None
    return Verdict(state=State.PREPARING, wait=wait, checkpoint=kept)


def _of_absence(seen: Ready | Absent, standing: Standing, policy: Policy) -> Verdict:
    """Absence counts only after two looks, the first of them late enough that nothing can still appear."""
    if standing.absent_before and standing.late_enough:
        return _spent(
            _lost(), standing, policy, closes=Outcome.ABSENT, disarm=True, checkpoint=seen.checkpoint
        )
    wait = policy.look_first if standing.late_enough else max(policy.settle, policy.look_first)
    return Verdict(state=State.UNKNOWN, wait=wait)


def _of_wait(
    state: State, checkpoint: Checkpoint | None, wait: timedelta, standing: Standing, policy: Policy
) -> Verdict:
    if standing.waited >= policy.look_limit:
        return Verdict(state=State.BLOCKED, reason=Reason.IS_IT_LIVE, error=_cannot_tell())
    return Verdict(state=state, wait=_look_wait(wait, standing, policy), checkpoint=checkpoint)


def _ended(seen: Ended, standing: Standing, policy: Policy) -> Verdict:
    """The platform's final word that nothing is live: one look suffices, and the old handle is worthless."""
    armed = standing.armed_for is not None
    if isinstance(seen.error, Permanent):
        return Verdict(state=State.FAILED, spent=True, closes=Outcome.FAILED, disarm=armed, error=seen.error)
    if isinstance(seen.error, NeedsPerson):
        return Verdict(
            state=State.BLOCKED,
            reason=Reason.RECONNECT,
            reconnect=True,
            spent=True,
            closes=Outcome.FAILED,
            disarm=armed,
            checkpoint={},
            error=seen.error,
        )
    return _spent(seen.error, standing, policy, closes=Outcome.FAILED, disarm=armed, checkpoint={})


def _spent(
    error: AdapterError,
    standing: Standing,
    policy: Policy,
    *,
    closes: Outcome,
    disarm: bool,
    checkpoint: Checkpoint | None = None,
) -> Verdict:
    if standing.spent + 1 >= policy.tries:
        return Verdict(state=State.FAILED, spent=True, closes=Outcome.FAILED, disarm=disarm, error=error)
    asked = error.retry_after if isinstance(error, Retryable) else None
    wait = asked or backoff(standing.spent, base=policy.backoff, cap=policy.cap, chance=policy.chance)
    return Verdict(
        state=State.RETRYING,
        wait=_never_negative(wait),
        spent=True,
        closes=closes,
        disarm=disarm,
        checkpoint=checkpoint,
        error=error,
    )


def _stale(error: CredentialsExpired, standing: Standing, policy: Policy) -> Verdict:
    """Refreshed and tried again at once. A refreshed token that is stale again costs a try: no going round for ever."""
    armed = standing.armed_for is not None
    if standing.stale_before:
        verdict = _spent(error, standing, policy, closes=Outcome.REFUSED, disarm=armed)
        return replace(verdict, refresh=verdict.state is State.RETRYING)
    return Verdict(state=State.RETRYING, refresh=True, disarm=armed, closes=_refused(armed), error=error)


def _never_negative(wait: timedelta) -> timedelta:
    """A platform's clock may be ahead of ours."""
    return max(wait, timedelta(0))


def _refused(armed: bool) -> Outcome | None:
    """A refusal given before acting costs no attempt; after arm it closes the attempt, for it is the proof."""
    return Outcome.REFUSED if armed else None


def _look_wait(asked: timedelta, standing: Standing, policy: Policy) -> timedelta:
    """The adapter knows how far the platform is, so its word counts; where it has none, ever longer pauses."""
    if asked > timedelta(0):
        return asked if policy.asked_cap is None else min(asked, policy.asked_cap)
    return look_pause(standing.looks, policy.look_first, policy.look_longest)


def _unknown(error: Exception) -> AdapterError:
    if isinstance(error, OutcomeUnknown):
        return error
    kind = type(error).__name__
    return OutcomeUnknown(f"The answer of the platform was lost or could not be read ({kind}).")


def _surprise(error: Exception) -> AdapterError:
    if isinstance(error, AdapterError):
        return error
    kind = type(error).__name__
    return AdapterError(f"Something unforeseen happened on our side ({kind}).", code="internal_error")


def _lost() -> AdapterError:
    return AdapterError("The platform proves that the earlier try did not go out.", code="proven_absent")


def _too_slow() -> AdapterError:
    return AdapterError(
        "The platform did not finish preparing the media in time.", code="preparing_timed_out"
    )


def _in_doubt() -> OutcomeUnknown:
    return OutcomeUnknown(
        "It may have gone out before the database was restored, and the platform does not show it.",
        code="restored",
        next_action="Look at the account: say it is live with its URL, or publish it again.",
    )


def _cannot_tell() -> OutcomeUnknown:
    return OutcomeUnknown(
        "The platform gives no proof whether the post is live.",
        next_action="Look at the account: say it is live with its URL, or publish it again.",
    )
