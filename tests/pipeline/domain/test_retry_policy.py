"""The retry policy: each result and error, and the verdict it leads to."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from adapters.contract import Absent, CannotTell, Ended, LookResult, Pending, Published, Ready
from adapters.errors import (
    AdapterError,
    CredentialsExpired,
    CredentialsRevoked,
    OutcomeUnknown,
    PermissionMissing,
    RateLimited,
    Rejected,
    StorageFault,
    Unavailable,
    Unsupported,
)
from pipeline.domain.delivery import Reason, State
from pipeline.domain.delivery_error import RATE_LIMIT, STORAGE
from pipeline.domain.hold import Hold
from pipeline.domain.retry_policy import (
    evaluate_conflict,
    evaluate_error,
    evaluate_finalize,
    evaluate_look,
    evaluate_look_error,
    evaluate_prepare,
    evaluate_refresh_error,
)
from pipeline.domain.verdict import Outcome, RetryPolicy, RetryState, Verdict


def seconds(n: float) -> timedelta:
    return timedelta(seconds=n)


POLICY = RetryPolicy(
    tries=5,
    backoff=seconds(10),
    cap=seconds(900),
    chance=0.5,
    settle=seconds(120),
    look_first=seconds(5),
    look_longest=seconds(60),
    look_limit=seconds(5400),
    crashes=3,
)
BEFORE = RetryState()
AFTER = RetryState(armed=True)
HANDLE = {"handle": "h1"}
LIVE = Published(remote_id="r1", url="https://example.test/r1")
ZERO = timedelta(0)
# What verdicts have in common, by what becomes of the delivery.
FAILED: dict[str, Any] = {"state": State.FAILED, "spent": True, "closes": Outcome.FAILED}
SPENT: dict[str, Any] = {"state": State.RETRYING, "spent": True, "closes": Outcome.REFUSED}
LIMITED: dict[str, Any] = {"state": State.RETRYING, "unavailable": RATE_LIMIT, "held_for": Hold.RATE}
IS_LIVE: dict[str, Any] = {
    "state": State.PUBLISHED,
    "spent": True,
    "closes": Outcome.PUBLISHED,
    "published": LIVE,
}
ASKED: dict[str, Any] = {"state": State.BLOCKED, "reason": Reason.IS_IT_LIVE}
RECONNECT: dict[str, Any] = {
    "state": State.BLOCKED,
    "reason": Reason.RECONNECT,
    "reconnect": True,
    "spent": True,
}
OUTAGE: dict[str, Any] = {"state": State.RETRYING, "wait": seconds(5), "unavailable": "platform"}
UNARMED: dict[str, Any] = {"closes": Outcome.REFUSED, "disarm": True}


def shape(verdict: Verdict, error: Exception | str | None = None, **expected: Any) -> None:
    """Compare all fields of a verdict: those not named have their defaults; *error* may be the code of an own error."""
    want = Verdict(**{"state": verdict.state, **expected})
    assert verdict == want
    if isinstance(error, str):
        assert verdict.error is not None
        assert verdict.error.code == error
        assert verdict.error.message
    else:
        assert verdict.error is error


# --- prepare and finalize: the rows of the table ---------------------------------------------------------------------


def test_published() -> None:
    shape(evaluate_finalize(LIVE), **IS_LIVE)


def test_pending_before_arm() -> None:
    verdict = evaluate_prepare(Pending(checkpoint=HANDLE, wait=seconds(7)))
    assert verdict is not None
    shape(verdict, state=State.PREPARING, wait=seconds(7), checkpoint=HANDLE)


@pytest.mark.parametrize(
    "result", [Ready(checkpoint=HANDLE), Pending(checkpoint=HANDLE), Ready(checkpoint={})]
)
def test_prepared_or_one_more_step_goes_on_in_this_slice(result: Ready | Pending) -> None:
    assert evaluate_prepare(result) is None


def test_pending_after_arm() -> None:
    verdict = evaluate_finalize(Pending(checkpoint=HANDLE, wait=seconds(7)))
    shape(verdict, state=State.PROCESSING, wait=seconds(7), checkpoint=HANDLE)


@pytest.mark.parametrize("retry", [BEFORE, AFTER], ids=["before", "after"])
def test_rate_limited_costs_nothing(retry: RetryState) -> None:
    error = RateLimited("slow down", retry_after=seconds(33))
    closes = Outcome.REFUSED if retry.armed else None
    shape(
        evaluate_error(error, retry, POLICY),
        error,
        **LIMITED,
        wait=seconds(33),
        disarm=retry.armed,
        closes=closes,
    )


def test_rate_limited_without_a_time_waits_the_cap_and_even_the_last_try_is_not_used_up() -> None:
    error = RateLimited("slow down")
    shape(evaluate_error(error, RetryState(spent=4), POLICY), error, **LIMITED, wait=POLICY.cap)


@pytest.mark.parametrize("retry", [BEFORE, AFTER], ids=["before", "after"])
def test_a_stale_token_is_refreshed_and_tried_again_at_once(retry: RetryState) -> None:
    closes = Outcome.REFUSED if retry.armed else None
    error = CredentialsExpired("stale")
    shape(
        evaluate_error(error, retry, POLICY),
        error,
        state=State.RETRYING,
        refresh=True,
        disarm=retry.armed,
        closes=closes,
    )


def test_a_refreshed_token_that_is_stale_again_costs_a_try_and_time() -> None:
    error = CredentialsExpired("stale")
    verdict = evaluate_error(error, replace(BEFORE, stale_before=True), POLICY)
    shape(verdict, error, **SPENT, wait=seconds(5), refresh=True)
    verdict = evaluate_error(error, RetryState(spent=4, stale_before=True), POLICY)
    shape(verdict, error, **FAILED)


@pytest.mark.parametrize("spent", [0, 4, 99])
def test_an_outage_before_arm_costs_time_and_no_try(spent: int) -> None:
    error = Unavailable("down")
    for age, wait in ((0, 5), (10, 10), (290, 150), (5000, 150)):
        retry = replace(BEFORE, spent=spent, unavailable_for={"platform": seconds(age)})
        verdict = evaluate_error(error, retry, POLICY)
        shape(verdict, error, state=State.RETRYING, wait=seconds(wait), unavailable="platform")


def test_an_outage_after_arm_costs_no_try_if_no_connection_was_made() -> None:
    error = Unavailable("no connection", code="platform_unreachable")
    verdict = evaluate_error(error, replace(AFTER, spent=99), POLICY)
    shape(verdict, error, **OUTAGE, **UNARMED)


@pytest.mark.parametrize("armed", [False, True])
def test_an_outage_that_outlasts_the_patience_fails_with_a_cause_of_its_own(armed: bool) -> None:
    retry = replace(BEFORE, armed=armed, unavailable_for={"platform": POLICY.time_limit})
    verdict = evaluate_error(Unavailable("no", code="platform_unreachable"), retry, POLICY)
    shape(verdict, "platform_outage", **FAILED, disarm=retry.armed, unavailable="platform")
    assert isinstance(verdict.error, Unavailable)
    assert verdict.error.next_action


def test_each_media_host_has_a_patience_of_its_own() -> None:
    error = Unavailable("no file", code="media_unavailable")
    error.host = "cdn.example"
    long = {"platform": seconds(10**6), "other.example": seconds(10**6)}
    verdict = evaluate_error(error, replace(BEFORE, spent=99, unavailable_for=long), POLICY)
    shape(verdict, error, state=State.RETRYING, wait=seconds(5), unavailable="cdn.example")
    over = replace(BEFORE, unavailable_for={"cdn.example": POLICY.media_time_limit})
    verdict = evaluate_error(error, over, POLICY)
    assert (verdict.state, verdict.error and verdict.error.code) == (State.FAILED, "media_outage")
    assert "cdn.example" in str(verdict.error)


@pytest.mark.parametrize("age", [ZERO, POLICY.time_limit * 100])
def test_a_fault_of_our_storage_before_arm_costs_neither_a_try_nor_patience(age: timedelta) -> None:
    retry = replace(BEFORE, spent=POLICY.tries - 1, unavailable_for={STORAGE: age})
    verdict = evaluate_error(StorageFault("away"), retry, POLICY)
    assert (verdict.state, verdict.spent, verdict.closes) == (State.RETRYING, False, None)
    assert (verdict.unavailable, verdict.held_for) == (STORAGE, Hold.STORAGE)
    assert ZERO < verdict.wait <= POLICY.outage_cap


def test_a_fault_of_our_storage_after_arm_is_an_unknown_outcome() -> None:
    verdict = evaluate_error(StorageFault("away"), AFTER, POLICY)
    assert (verdict.state, verdict.spent, verdict.disarm, verdict.closes) == (
        State.UNKNOWN,
        False,
        False,
        None,
    )


def test_a_refresh_that_is_not_answered_is_an_outage() -> None:
    error = Unavailable("down")
    expired = evaluate_error(CredentialsExpired("old"), AFTER, POLICY)
    shape(evaluate_refresh_error(expired, error, BEFORE, POLICY), error, **OUTAGE, **UNARMED)
    over = replace(BEFORE, unavailable_for={"platform": POLICY.time_limit})
    verdict = evaluate_refresh_error(expired, error, over, POLICY)
    assert (verdict.state, verdict.closes, verdict.disarm) == (State.FAILED, Outcome.FAILED, True)


@pytest.mark.parametrize("code", ["not_prepared", "upload_expired"])
@pytest.mark.parametrize("retry", [BEFORE, AFTER], ids=["before", "after"])
def test_a_state_of_our_own_costs_a_try_and_a_growing_pause(retry: RetryState, code: str) -> None:
    for spent, wait in ((0, 5), (1, 10), (2, 20), (3, 40)):
        error = Unavailable("down", code=code)
        verdict = evaluate_error(error, replace(retry, spent=spent), POLICY)
        shape(verdict, error, **SPENT, wait=seconds(wait), disarm=retry.armed)


def test_unavailable_with_retry_after_waits_that() -> None:
    verdict = evaluate_error(Unavailable("down", retry_after=seconds(3600)), BEFORE, POLICY)
    assert verdict.wait == seconds(3600)


@pytest.mark.parametrize("retry", [BEFORE, AFTER], ids=["before", "after"])
def test_the_last_try_fails(retry: RetryState) -> None:
    error = Unavailable("down", code="not_prepared")
    verdict = evaluate_error(error, replace(retry, spent=4), POLICY)
    shape(verdict, error, **FAILED, disarm=retry.armed)


@pytest.mark.parametrize("error", [Rejected("no"), Unsupported("no")])
@pytest.mark.parametrize("retry", [BEFORE, AFTER], ids=["before", "after"])
def test_rejected_fails(error: AdapterError, retry: RetryState) -> None:
    verdict = evaluate_error(error, retry, POLICY)
    shape(verdict, error, **FAILED, disarm=retry.armed)


@pytest.mark.parametrize("error", [CredentialsRevoked("gone"), PermissionMissing("gone")])
@pytest.mark.parametrize("retry", [BEFORE, AFTER], ids=["before", "after"])
def test_a_dead_grant_waits_for_a_person(error: AdapterError, retry: RetryState) -> None:
    verdict = evaluate_error(error, retry, POLICY)
    shape(verdict, error, **RECONNECT, closes=Outcome.REFUSED, disarm=retry.armed)


@pytest.mark.parametrize("error", [ValueError("bug"), OutcomeUnknown("?"), AdapterError("?"), KeyError("x")])
def test_the_unforeseen_before_arm_is_tried_again_and_the_third_time_a_person_looks(error: Exception) -> None:
    told = error if isinstance(error, AdapterError) else "internal_error"
    verdict = evaluate_error(error, BEFORE, POLICY)
    shape(verdict, told, **SPENT, wait=seconds(5), unexpected=True)
    assert evaluate_error(error, RetryState(unexpected_errors=1), POLICY).state is State.RETRYING
    verdict = evaluate_error(error, RetryState(unexpected_errors=2), POLICY)
    shape(
        verdict,
        told,
        state=State.BLOCKED,
        reason=Reason.PERSON_NEEDED,
        spent=True,
        closes=Outcome.REFUSED,
        unexpected=True,
    )


def test_a_bug_of_ours_says_its_kind_and_nothing_of_its_insides() -> None:
    verdict = evaluate_error(ValueError("token sk-123"), BEFORE, POLICY)
    assert verdict.error is not None
    assert "ValueError" in str(verdict.error)
    assert "sk-123" not in str(verdict.error)
    unknown = evaluate_error(ValueError("token sk-123"), AFTER, POLICY).error
    assert "ValueError" in str(unknown)
    assert isinstance(unknown, OutcomeUnknown)
    assert "sk-123" not in str(unknown)


@pytest.mark.parametrize("error", [ValueError("bug"), OutcomeUnknown("?"), AdapterError("?"), MemoryError()])
@pytest.mark.parametrize("spent", [0, 4])
def test_the_unforeseen_after_arm_is_looked_at(error: Exception, spent: int) -> None:
    verdict = evaluate_error(error, replace(AFTER, spent=spent, unexpected_errors=9), POLICY)
    told = error if isinstance(error, OutcomeUnknown) else OutcomeUnknown.code
    shape(verdict, told, state=State.UNKNOWN, wait=POLICY.look_first)
    assert isinstance(verdict.error, OutcomeUnknown)


def test_a_post_that_another_delivery_has_needs_a_person() -> None:
    verdict = evaluate_conflict(LIVE)
    shape(verdict, "remote_id_taken", **ASKED)
    assert "r1" in str(verdict.error)
    assert verdict.error is not None
    assert verdict.error.next_action


# --- look: the rows of the table -------------------------------------------------------------------------------------


@pytest.mark.parametrize("retry", [BEFORE, AFTER, RetryState(armed=True, waited=timedelta(days=9))])
def test_look_published(retry: RetryState) -> None:
    shape(evaluate_look(LIVE, retry, POLICY), **IS_LIVE)


@pytest.mark.parametrize(("retry", "state"), [(BEFORE, State.PREPARING), (AFTER, State.PROCESSING)])
def test_look_pending_stays_and_is_looked_at_later_and_later(retry: RetryState, state: State) -> None:
    for looks, wait in ((0, 5), (1, 10), (2, 20), (3, 40), (4, 60), (50, 60)):
        verdict = evaluate_look(Pending(checkpoint=HANDLE), replace(retry, looks=looks), POLICY)
        shape(verdict, state=state, wait=seconds(wait), checkpoint=HANDLE)
    told = evaluate_look(Pending(checkpoint=HANDLE, wait=seconds(7)), replace(retry, looks=50), POLICY)
    assert told.wait == seconds(7), "the adapter's word counts"
    told = evaluate_look(Pending(checkpoint=HANDLE, wait=seconds(600)), retry, POLICY)
    assert told.wait == seconds(600)
    hurried = replace(POLICY, asked_cap=seconds(2))
    assert evaluate_look(Pending(checkpoint=HANDLE, wait=seconds(600)), retry, hurried).wait == seconds(2)


def test_look_pending_past_the_limit() -> None:
    past = POLICY.look_limit
    verdict = evaluate_look(Pending(checkpoint=HANDLE), replace(BEFORE, waited=past), POLICY)
    late = "preparing_timed_out"
    shape(verdict, late, **SPENT, wait=seconds(5), checkpoint={})
    verdict = evaluate_look(Pending(checkpoint=HANDLE), replace(BEFORE, spent=4, waited=past), POLICY)
    shape(verdict, late, **FAILED)
    verdict = evaluate_look(Pending(checkpoint=HANDLE), replace(AFTER, waited=past), POLICY)
    shape(verdict, OutcomeUnknown.code, **ASKED)
    just_under = replace(AFTER, waited=POLICY.look_limit - timedelta(microseconds=1))
    assert evaluate_look(Pending(checkpoint=HANDLE), just_under, POLICY).state is State.PROCESSING


def test_look_ready_before_arm_is_queued() -> None:
    shape(evaluate_look(Ready(checkpoint=HANDLE), BEFORE, POLICY), state=State.QUEUED, checkpoint=HANDLE)


@pytest.mark.parametrize("seen", [Ready(checkpoint=HANDLE), Absent(checkpoint=HANDLE), Absent()])
def test_absence_needs_two_looks_and_the_first_late_enough(seen: Ready | Absent) -> None:
    early = evaluate_look(seen, AFTER, POLICY)
    shape(early, state=State.UNKNOWN, wait=POLICY.settle)
    # a look that was too early never counts, however often
    again = evaluate_look(seen, replace(AFTER, absent_before=True), POLICY)
    shape(again, state=State.UNKNOWN, wait=POLICY.settle)
    first = evaluate_look(seen, replace(AFTER, late_enough=True), POLICY)
    shape(first, state=State.UNKNOWN, wait=POLICY.look_first)
    second = evaluate_look(seen, replace(AFTER, late_enough=True, absent_before=True), POLICY)
    shape(
        second,
        "proven_absent",
        state=State.RETRYING,
        wait=seconds(5),
        spent=True,
        closes=Outcome.ABSENT,
        disarm=True,
        checkpoint=seen.checkpoint,
    )


@pytest.mark.parametrize("seen", [Ready(checkpoint=HANDLE), Absent(), CannotTell(reason="?")])
def test_of_what_a_restore_left_in_doubt_a_person_is_asked_after_two_looks_late_enough(
    seen: LookResult,
) -> None:
    doubtful = replace(AFTER, in_doubt=True)
    for before in (False, True):
        early = evaluate_look(seen, replace(doubtful, absent_before=before), POLICY)
        shape(early, "restored", state=State.UNKNOWN, wait=POLICY.settle)
    first = evaluate_look(seen, replace(doubtful, late_enough=True), POLICY)
    shape(first, "restored", state=State.UNKNOWN, wait=POLICY.look_first)
    second = evaluate_look(seen, replace(doubtful, late_enough=True, absent_before=True), POLICY)
    shape(second, "restored", **ASKED)
    assert second.error is not None
    assert second.error.next_action


def test_what_the_platform_works_on_and_a_restore_left_in_doubt_keeps_the_handle_it_has() -> None:
    seen = Pending(checkpoint=HANDLE, wait=seconds(7))
    shape(evaluate_look(seen, replace(AFTER, in_doubt=True), POLICY), state=State.PROCESSING, wait=seconds(7))


def test_proven_absence_of_the_last_try_fails() -> None:
    verdict = evaluate_look(Absent(), replace(AFTER, late_enough=True, absent_before=True, spent=4), POLICY)
    shape(verdict, "proven_absent", **FAILED, disarm=True)


def test_proven_absence_after_a_refusal_for_good_ends_the_delivery() -> None:
    """The platform said no in words that prove nothing; the looks prove it, and the same call is not made again."""
    fields = {
        "code": "blocked_by_policy",
        "message": "blocked",
        "platform_code": "4/2207051",
        "next_action": "ask",
    }
    refused = replace(AFTER, late_enough=True, refusal=fields)
    shape(evaluate_look(Absent(), refused, POLICY), state=State.UNKNOWN, wait=POLICY.look_first)
    verdict = evaluate_look(Absent(), replace(refused, absent_before=True), POLICY)
    shape(verdict, "blocked_by_policy", **FAILED, disarm=True)
    assert isinstance(verdict.error, Rejected)
    assert (verdict.error.platform_code, verdict.error.next_action) == ("4/2207051", "ask")
    seen = evaluate_look(Published(remote_id="1"), refused, POLICY)
    assert seen.state is State.PUBLISHED, "such posts were seen live"


def test_absent_before_arm_starts_from_scratch() -> None:
    verdict = evaluate_look(Absent(), BEFORE, POLICY)
    shape(verdict, "proven_absent", **SPENT, wait=seconds(5), checkpoint={})


@pytest.mark.parametrize("retry", [BEFORE, AFTER], ids=["before", "after"])
def test_ended_for_good_fails_after_one_look(retry: RetryState) -> None:
    error = Rejected("too long")
    verdict = evaluate_look(Ended(error=error), retry, POLICY)
    shape(verdict, error, **FAILED, disarm=retry.armed)


@pytest.mark.parametrize("retry", [BEFORE, AFTER], ids=["before", "after"])
@pytest.mark.parametrize("error", [Unavailable("hiccup"), AdapterError("?")])
def test_ended_for_now_is_tried_again_from_scratch_after_one_look(
    retry: RetryState, error: AdapterError
) -> None:
    verdict = evaluate_look(Ended(error=error), retry, POLICY)
    shape(
        verdict,
        error,
        state=State.RETRYING,
        wait=seconds(5),
        spent=True,
        closes=Outcome.FAILED,
        disarm=retry.armed,
        checkpoint={},
    )
    last = evaluate_look(Ended(error=error), replace(retry, spent=4), POLICY)
    shape(last, error, **FAILED, disarm=retry.armed)


def test_ended_for_want_of_a_grant_waits_for_a_person() -> None:
    error = PermissionMissing("scope")
    verdict = evaluate_look(Ended(error=error), AFTER, POLICY)
    shape(verdict, error, **RECONNECT, closes=Outcome.FAILED, disarm=True, checkpoint={})


@pytest.mark.parametrize(
    "error",
    [
        RateLimited("slow"),
        Unavailable("down"),
        CredentialsRevoked("gone"),
        PermissionMissing("x"),
        ValueError("bug"),
    ],
)
@pytest.mark.parametrize("state", [State.PROCESSING, State.UNKNOWN])
def test_a_look_that_cannot_be_made_leaves_an_armed_delivery_as_it_is(error: Exception, state: State) -> None:
    for retry in (replace(AFTER, looks=2), replace(AFTER, looks=2, waited=timedelta(days=30), spent=9)):
        verdict = evaluate_look_error(error, retry, POLICY, state)
        revoked = isinstance(error, CredentialsRevoked | PermissionMissing)
        told = error if isinstance(error, AdapterError) else "internal_error"
        shape(verdict, told, state=state, wait=seconds(20), reconnect=revoked, uncounted=True)
        assert "ValueError" in str(verdict.error) or isinstance(error, AdapterError)


def test_a_stale_token_while_looking_is_refreshed_once_at_once_then_at_the_pace_of_looks() -> None:
    error = CredentialsExpired("stale")
    verdict = evaluate_look_error(error, replace(AFTER, looks=2), POLICY, State.UNKNOWN)
    shape(verdict, error, state=State.UNKNOWN, refresh=True, uncounted=True)
    again = replace(AFTER, looks=2, stale_before=True)
    verdict = evaluate_look_error(error, again, POLICY, State.UNKNOWN)
    shape(verdict, error, state=State.UNKNOWN, wait=seconds(20), refresh=True, uncounted=True)


def test_a_rate_limited_look_waits_what_it_is_told() -> None:
    error = RateLimited("slow", retry_after=seconds(700))
    assert evaluate_look_error(error, AFTER, POLICY, State.UNKNOWN).wait == seconds(700)


@pytest.mark.parametrize(
    "error",
    [
        RateLimited("slow"),
        Unavailable("x"),
        CredentialsExpired("x"),
        CredentialsRevoked("x"),
        ValueError("x"),
    ],
)
def test_a_look_that_cannot_be_made_before_arm_is_as_prepare(error: Exception) -> None:
    assert evaluate_look_error(error, BEFORE, POLICY, State.PREPARING) == evaluate_error(
        error, BEFORE, POLICY
    )


def test_cannot_tell_is_looked_at_again_until_the_limit_then_a_person_is_asked() -> None:
    seen: LookResult = CannotTell(reason="no such call")
    shape(evaluate_look(seen, replace(AFTER, looks=1), POLICY), state=State.UNKNOWN, wait=seconds(10))
    past = evaluate_look(seen, replace(AFTER, waited=POLICY.look_limit), POLICY)
    shape(past, OutcomeUnknown.code, **ASKED)
    assert past.error is not None
    assert past.error.next_action
    shape(evaluate_look(seen, BEFORE, POLICY), state=State.PREPARING, wait=seconds(5))


def test_what_no_look_can_show_is_an_operators_question_as_soon_as_nothing_can_appear() -> None:
    seen = CannotTell(reason="no such call", is_final=True)
    early = evaluate_look(seen, replace(AFTER, may_appear_for=seconds(70), waited=timedelta(days=9)), POLICY)
    shape(early, "cannot_be_asked", state=State.UNKNOWN, wait=seconds(70), uncounted=True)
    over = evaluate_look(seen, replace(AFTER, late_enough=True, platform_code="98"), POLICY)
    shape(over, OutcomeUnknown.code, **ASKED)
    assert over.error is not None
    assert (over.error.platform_code, "cannot be asked" in over.error.message) == ("98", True)
    shape(evaluate_look(seen, BEFORE, POLICY), state=State.PREPARING, wait=seconds(5))
