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
LAST = RetryState(spent=4)
LATE = replace(AFTER, late_enough=True)
DOUBTFUL = replace(AFTER, in_doubt=True)
LIMIT = POLICY.look_limit
WORKS = Pending(checkpoint=HANDLE)
MUTE = CannotTell(reason="no such call")
MUTE_FOR_GOOD = CannotTell(reason="no such call", is_final=True)
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


def test_what_prepare_and_finalize_answer() -> None:
    shape(evaluate_finalize(LIVE), **IS_LIVE)
    waits = Pending(checkpoint=HANDLE, wait=seconds(7))
    shape(evaluate_finalize(waits), state=State.PROCESSING, wait=seconds(7), checkpoint=HANDLE)
    prepared = evaluate_prepare(waits)
    assert prepared is not None
    shape(prepared, state=State.PREPARING, wait=seconds(7), checkpoint=HANDLE)
    for goes_on in (Ready(checkpoint=HANDLE), WORKS, Ready(checkpoint={})):
        assert evaluate_prepare(goes_on) is None, "it goes on in this slice"


SURE: dict[str, tuple[AdapterError, RetryState, dict[str, Any]]] = {
    "asked to wait": (
        RateLimited("slow down", retry_after=seconds(33)),
        BEFORE,
        {**LIMITED, "wait": seconds(33)},
    ),
    "asked to wait at the last try": (RateLimited("slow down"), LAST, {**LIMITED, "wait": POLICY.cap}),
    "stale": (CredentialsExpired("stale"), BEFORE, {"state": State.RETRYING, "refresh": True}),
    "stale again": (
        CredentialsExpired("stale"),
        replace(BEFORE, stale_before=True),
        {**SPENT, "wait": seconds(5), "refresh": True},
    ),
    "stale again at the last try": (CredentialsExpired("stale"), replace(LAST, stale_before=True), FAILED),
    **{
        f"{code} after {spent} tries": (
            Unavailable("down", code=code),
            RetryState(spent=spent),
            {**SPENT, "wait": seconds(wait)},
        )
        for code in ("not_prepared", "upload_expired")
        for spent, wait in enumerate((5, 10, 20, 40))
    },
    "the last try": (Unavailable("down", code="not_prepared"), LAST, FAILED),
    "rejected": (Rejected("no"), BEFORE, FAILED),
    "unsupported": (Unsupported("no"), BEFORE, FAILED),
    "revoked": (CredentialsRevoked("gone"), BEFORE, {**RECONNECT, "closes": Outcome.REFUSED}),
    "not permitted": (PermissionMissing("gone"), BEFORE, {**RECONNECT, "closes": Outcome.REFUSED}),
}
"""Errors that prove that nothing is live, before arm and after it."""


@pytest.mark.parametrize("armed", [False, True])
@pytest.mark.parametrize("what", SURE)
def test_what_proves_that_nothing_is_live_disarms(what: str, armed: bool) -> None:
    error, retry, expected = SURE[what]
    verdict = evaluate_error(error, replace(retry, armed=armed), POLICY)
    closes = Outcome.REFUSED if armed else None
    shape(verdict, error, **{"closes": closes, **expected, "disarm": armed})


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


def test_unavailable_with_retry_after_waits_that() -> None:
    verdict = evaluate_error(Unavailable("down", retry_after=seconds(3600)), BEFORE, POLICY)
    assert verdict.wait == seconds(3600)


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


UNPROVEN = (Ready(checkpoint=HANDLE), Absent(checkpoint=HANDLE), Absent())
LOOKS: list[tuple[LookResult, RetryState, str | None, dict[str, Any]]] = [
    *((LIVE, retry, None, IS_LIVE) for retry in (BEFORE, AFTER, replace(AFTER, waited=timedelta(days=9)))),
    (Ready(checkpoint=HANDLE), BEFORE, None, {"state": State.QUEUED, "checkpoint": HANDLE}),
    (Absent(), BEFORE, "proven_absent", {**SPENT, "wait": seconds(5), "checkpoint": {}}),
    # past the limit of looks
    (
        WORKS,
        replace(BEFORE, waited=LIMIT),
        "preparing_timed_out",
        {**SPENT, "wait": seconds(5), "checkpoint": {}},
    ),
    (WORKS, replace(LAST, waited=LIMIT), "preparing_timed_out", FAILED),
    (WORKS, replace(AFTER, waited=LIMIT), OutcomeUnknown.code, ASKED),
    (MUTE, replace(AFTER, waited=LIMIT), OutcomeUnknown.code, ASKED),
    # absence needs two looks, and the first late enough: one that was too early never counts, however often
    *(
        (seen, replace(AFTER, absent_before=before), None, {"state": State.UNKNOWN, "wait": POLICY.settle})
        for seen in UNPROVEN
        for before in (False, True)
    ),
    *((seen, LATE, None, {"state": State.UNKNOWN, "wait": POLICY.look_first}) for seen in UNPROVEN),
    *(
        (
            seen,
            replace(LATE, absent_before=True),
            "proven_absent",
            {
                "state": State.RETRYING,
                "wait": seconds(5),
                "spent": True,
                "closes": Outcome.ABSENT,
                "disarm": True,
                "checkpoint": seen.checkpoint,
            },
        )
        for seen in UNPROVEN
    ),
    (Absent(), replace(LATE, absent_before=True, spent=4), "proven_absent", {**FAILED, "disarm": True}),
    # of what a restore left in doubt a person is asked after two looks late enough
    *(
        (
            seen,
            replace(DOUBTFUL, absent_before=early),
            "restored",
            {"state": State.UNKNOWN, "wait": POLICY.settle},
        )
        for seen in (Ready(checkpoint=HANDLE), Absent(), MUTE)
        for early in (False, True)
    ),
    (Absent(), replace(LATE, in_doubt=True), "restored", {"state": State.UNKNOWN, "wait": POLICY.look_first}),
    *(
        (seen, replace(LATE, in_doubt=True, absent_before=True), "restored", ASKED)
        for seen in (Ready(checkpoint=HANDLE), Absent(), MUTE)
    ),
    (
        Pending(checkpoint=HANDLE, wait=seconds(7)),
        DOUBTFUL,
        None,
        {"state": State.PROCESSING, "wait": seconds(7)},
    ),
    # a look that cannot tell
    (MUTE, replace(AFTER, looks=1), None, {"state": State.UNKNOWN, "wait": seconds(10)}),
    *((seen, BEFORE, None, {"state": State.PREPARING, "wait": seconds(5)}) for seen in (MUTE, MUTE_FOR_GOOD)),
    (
        MUTE_FOR_GOOD,
        replace(AFTER, may_appear_for=seconds(70), waited=timedelta(days=9)),
        "cannot_be_asked",
        {"state": State.UNKNOWN, "wait": seconds(70), "uncounted": True},
    ),
]


@pytest.mark.parametrize(("seen", "retry", "told", "expected"), LOOKS)
def test_a_look_leads_to_its_verdict(
    seen: LookResult, retry: RetryState, told: str | None, expected: dict[str, Any]
) -> None:
    verdict = evaluate_look(seen, retry, POLICY)
    shape(verdict, told, **expected)
    assert verdict.reason is None or (verdict.error and verdict.error.next_action)


def test_just_under_the_limit_it_is_looked_at_again() -> None:
    just_under = replace(AFTER, waited=LIMIT - timedelta(microseconds=1))
    assert evaluate_look(WORKS, just_under, POLICY).state is State.PROCESSING


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


@pytest.mark.parametrize("retry", [BEFORE, AFTER], ids=["before", "after"])
def test_what_ended_is_judged_by_its_error_after_one_look(retry: RetryState) -> None:
    """For good it fails, for now it is tried again from scratch."""
    failed = {**FAILED, "disarm": retry.armed}
    again = {"state": State.RETRYING, "spent": True, "closes": Outcome.FAILED, "disarm": retry.armed}
    rejected = Rejected("too long")
    shape(evaluate_look(Ended(error=rejected), retry, POLICY), rejected, **failed)
    for error in (Unavailable("hiccup"), AdapterError("?")):
        ended = Ended(error=error)
        shape(evaluate_look(ended, retry, POLICY), error, **again, wait=seconds(5), checkpoint={})
        shape(evaluate_look(ended, replace(retry, spent=4), POLICY), error, **failed)


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


def test_what_no_look_can_show_is_an_operators_question_as_soon_as_nothing_can_appear() -> None:
    over = evaluate_look(MUTE_FOR_GOOD, replace(LATE, platform_code="98"), POLICY)
    shape(over, OutcomeUnknown.code, **ASKED)
    assert over.error is not None
    assert (over.error.platform_code, "cannot be asked" in over.error.message) == ("98", True)
