"""Properties of the retry policy that hold for every result, state and setting."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters import errors
from adapters.contract import Absent, CannotTell, Ended, LookResult, Pending, Published, Ready
from pipeline.domain.delivery import ALWAYS_ARMED, MOVES, Mover, Reason, State
from pipeline.domain.delivery_error import (
    MEDIA_UNAVAILABLE,
    OWN_STATES,
    PLATFORM,
    RATE_LIMIT,
    UNREACHABLE,
    extend_streaks,
    find_party,
    shift_streaks,
)
from pipeline.domain.retry_policy import (
    evaluate_error,
    evaluate_finalize,
    evaluate_look,
    evaluate_look_error,
    evaluate_prepare,
)
from pipeline.domain.verdict import Outcome, RetryPolicy, RetryState, Verdict

WAITS = st.timedeltas(timedelta(days=-2), timedelta(days=400))
LONGS = st.timedeltas(timedelta(0), timedelta(days=3))
CHECKPOINTS = st.sampled_from([{}, {"handle": "h"}])
KINDS: list[type[errors.AdapterError]] = [
    errors.Retryable,
    errors.Unavailable,
    errors.AppRefused,
    errors.RateLimited,
    errors.CredentialsExpired,
    errors.Permanent,
    errors.Rejected,
    errors.Unsupported,
    errors.NeedsPerson,
    errors.CredentialsRevoked,
    errors.PermissionMissing,
    errors.OutcomeUnknown,
    errors.AdapterError,
]


CODES = {UNREACHABLE, MEDIA_UNAVAILABLE, *OWN_STATES}
AGES = st.dictionaries(st.sampled_from([PLATFORM, "media", "cdn.example"]), WAITS)


@st.composite
def adapter_errors(draw: st.DrawFn) -> errors.AdapterError:
    kind: type[errors.AdapterError] = draw(st.sampled_from(KINDS))
    if issubclass(kind, errors.Retryable):
        code = draw(st.none() | st.sampled_from(sorted(CODES))) if kind is errors.Unavailable else None
        return kind("x", retry_after=draw(st.none() | WAITS), code=code)
    return kind("x")


ERRORS = adapter_errors() | st.sampled_from(
    [ValueError("bug"), KeyError("bug"), OSError("bug"), RuntimeError()]
)
ARMED = st.builds(
    RetryState,
    spent=st.integers(0, 9),
    looks=st.integers(0, 99),
    unexpected_errors=st.integers(0, 9),
    armed=st.just(value=True),
    waited=WAITS,
    stale_before=st.booleans(),
    absent_before=st.booleans(),
    late_enough=st.booleans(),
    unavailable_for=AGES,
)
UNARMED = st.builds(
    RetryState,
    spent=st.integers(0, 9),
    looks=st.integers(0, 99),
    unexpected_errors=st.integers(0, 9),
    waited=WAITS,
    stale_before=st.booleans(),
    unavailable_for=AGES,
)
POLICIES = st.builds(
    RetryPolicy,
    tries=st.integers(1, 20),
    backoff=LONGS,
    cap=LONGS,
    chance=st.floats(0, 1),
    settle=LONGS,
    look_first=LONGS,
    look_longest=LONGS,
    look_limit=LONGS,
    crashes=st.integers(1, 5),
    time_limit=LONGS,
    media_time_limit=LONGS,
    outage_cap=LONGS,
)
SEEN: st.SearchStrategy[LookResult] = st.one_of(
    st.just(Published(remote_id="r")),
    st.builds(Pending, checkpoint=CHECKPOINTS, wait=WAITS),
    st.builds(Ready, checkpoint=CHECKPOINTS),
    st.builds(Absent, checkpoint=CHECKPOINTS),
    st.builds(Ended, error=adapter_errors()),
    st.just(CannotTell(reason="?")),
)


def never_wrong(verdict: Verdict, *, armed: bool) -> None:
    """Assert the rules that hold for every verdict."""
    assert verdict.wait >= timedelta(0)
    assert (verdict.state is State.BLOCKED) == (verdict.reason is not None)
    assert (verdict.state is State.PUBLISHED) == (verdict.published is not None)
    if verdict.closes in (Outcome.PUBLISHED, Outcome.FAILED, Outcome.ABSENT):
        assert verdict.spent is (verdict.unavailable != RATE_LIMIT), (
            "a platform that asks to wait costs no try"
        )
    if not armed:
        assert verdict.state not in ALWAYS_ARMED
        assert not verdict.disarm
        return
    if verdict.state in (State.RETRYING, State.QUEUED, State.SCHEDULED, State.PREPARING):
        assert verdict.disarm, "what may be sent again must not be armed"
    if verdict.disarm:
        assert verdict.closes in (Outcome.REFUSED, Outcome.FAILED, Outcome.ABSENT), "only proof disarms"
    if verdict.state in (State.FAILED, State.RETRYING):
        assert verdict.closes is not None
    if verdict.state is State.BLOCKED and not verdict.disarm:
        assert verdict.reason is Reason.IS_IT_LIVE
    if verdict.state in ALWAYS_ARMED:
        assert not verdict.disarm
        assert verdict.closes is None


@given(ERRORS, ARMED, POLICIES)
def test_an_error_after_arm(error: Exception, retry: RetryState, policy: RetryPolicy) -> None:
    verdict = evaluate_error(error, retry, policy)
    never_wrong(verdict, armed=True)
    assert verdict.state in MOVES[State.PUBLISHING][Mover.PUBLISH]
    proof = (errors.Retryable, errors.Permanent, errors.NeedsPerson)
    assert (verdict.state is State.UNKNOWN) == (not isinstance(error, proof))


@given(ERRORS, UNARMED, POLICIES)
def test_an_error_before_arm(error: Exception, retry: RetryState, policy: RetryPolicy) -> None:
    verdict = evaluate_error(error, retry, policy)
    never_wrong(verdict, armed=False)
    assert verdict.state in (State.RETRYING, State.FAILED, State.BLOCKED)
    free = isinstance(error, errors.RateLimited | errors.AppRefused) or (
        isinstance(error, errors.CredentialsExpired) and not retry.stale_before
    )
    if find_party(error, armed=False) is None:
        assert verdict.spent is not free
    else:
        assert verdict.spent is (verdict.state is State.FAILED), "an outage costs no try before it is over"


@given(ERRORS, ARMED | UNARMED, POLICIES)
def test_only_patience_that_is_over_ends_an_outage(
    error: Exception, retry: RetryState, policy: RetryPolicy
) -> None:
    party = find_party(error, armed=retry.armed)
    verdict = evaluate_error(error, retry, policy)
    if isinstance(error, errors.RateLimited):
        assert verdict.unavailable == RATE_LIMIT
        assert verdict.state is not State.FAILED
        return
    assert verdict.unavailable == party
    if party is None:
        return
    time_limit = policy.time_limit if party == PLATFORM else policy.media_time_limit
    age = retry.unavailable_for.get(party)
    assert (verdict.state is State.FAILED) == (age is not None and age >= time_limit)
    if verdict.state is State.RETRYING:
        assert isinstance(error, errors.Unavailable)
        most = max(policy.outage_cap, timedelta(seconds=1))
        assert error.retry_after or timedelta(seconds=1) <= verdict.wait <= most


MOMENTS = st.timedeltas(timedelta(0), timedelta(days=99_000)).map(
    lambda age: datetime(1980, 1, 1, tzinfo=UTC) + age
)


@given(
    st.dictionaries(st.sampled_from([PLATFORM, "a", "b"]), MOMENTS), st.sampled_from([PLATFORM, "a"]), MOMENTS
)
def test_a_streak_keeps_its_first_failure(streaks: dict[str, datetime], party: str, now: datetime) -> None:
    extended = extend_streaks(streaks, party, now)
    assert extended[party] == streaks.get(party, now)
    assert {p: at for p, at in extended.items() if p != party} == {
        p: at for p, at in streaks.items() if p != party
    }


@given(st.dictionaries(st.sampled_from([PLATFORM, RATE_LIMIT, "a"]), MOMENTS), MOMENTS)
def test_an_answer_that_asks_to_wait_ends_the_other_streaks(
    streaks: dict[str, datetime], now: datetime
) -> None:
    assert extend_streaks(streaks, RATE_LIMIT, now) == {RATE_LIMIT: streaks.get(RATE_LIMIT, now)}


@given(st.dictionaries(st.sampled_from([PLATFORM, "a"]), MOMENTS), LONGS, LONGS)
def test_held_time_does_not_age_a_streak(
    streaks: dict[str, datetime], held: timedelta, more: timedelta
) -> None:
    assert shift_streaks(shift_streaks(streaks, held), more) == shift_streaks(streaks, held + more)
    assert shift_streaks(streaks, -held) == streaks


@given(SEEN, ARMED, POLICIES, st.sampled_from(sorted(ALWAYS_ARMED)))
def test_a_look_after_arm(seen: LookResult, retry: RetryState, policy: RetryPolicy, state: State) -> None:
    verdict = evaluate_look(seen, retry, policy)
    never_wrong(verdict, armed=True)
    assert verdict.state in MOVES[state][Mover.STATUS]
    if verdict.state is State.RETRYING and isinstance(seen, Ready | Absent):
        assert retry.absent_before
        assert retry.late_enough


@given(SEEN, ARMED, POLICIES, st.sampled_from(sorted(ALWAYS_ARMED)))
def test_a_look_at_what_a_restore_left_in_doubt(
    seen: LookResult, retry: RetryState, policy: RetryPolicy, state: State
) -> None:
    verdict = evaluate_look(seen, replace(retry, in_doubt=True), policy)
    never_wrong(verdict, armed=True)
    assert verdict.state in MOVES[state][Mover.STATUS]
    assert verdict.state in (State.PUBLISHED, State.PROCESSING, State.UNKNOWN, State.BLOCKED)
    assert (verdict.state is State.PUBLISHED) == isinstance(seen, Published)
    assert not verdict.disarm


@given(SEEN, UNARMED, POLICIES)
def test_a_look_before_arm(seen: LookResult, retry: RetryState, policy: RetryPolicy) -> None:
    verdict = evaluate_look(seen, retry, policy)
    never_wrong(verdict, armed=False)
    mover = Mover.PROOF if verdict.state is State.PUBLISHED else Mover.STATUS
    assert verdict.state in MOVES[State.PREPARING][mover]


@given(ERRORS, ARMED, POLICIES, st.sampled_from(sorted(ALWAYS_ARMED)))
def test_a_look_that_failed_after_arm(
    error: Exception, retry: RetryState, policy: RetryPolicy, state: State
) -> None:
    verdict = evaluate_look_error(error, retry, policy, state)
    never_wrong(verdict, armed=True)
    assert verdict.state is state
    assert verdict.uncounted
    assert not verdict.spent


@given(ERRORS, UNARMED, POLICIES)
def test_a_look_that_failed_before_arm(error: Exception, retry: RetryState, policy: RetryPolicy) -> None:
    verdict = evaluate_look_error(error, retry, policy, State.PREPARING)
    never_wrong(verdict, armed=False)
    assert verdict.state in MOVES[State.PREPARING][Mover.STATUS]


@given(st.builds(Pending, checkpoint=CHECKPOINTS, wait=WAITS))
def test_an_answer_that_says_wait(result: Pending) -> None:
    never_wrong(evaluate_finalize(result), armed=True)
    prepared = evaluate_prepare(result)
    if prepared is not None:
        never_wrong(prepared, armed=False)


@pytest.mark.parametrize("armed", [False, True])
@given(adapter_errors(), st.integers(1, 6))
def test_tries_come_to_an_end(armed: bool, error: errors.AdapterError, tries: int) -> None:
    policy = RetryPolicy(
        tries=tries,
        backoff=timedelta(seconds=1),
        cap=timedelta(seconds=9),
        chance=1,
        settle=timedelta(0),
        look_first=timedelta(0),
        look_longest=timedelta(0),
        look_limit=timedelta(0),
        crashes=99,
    )
    verdict = evaluate_error(error, RetryState(spent=tries - 1, unexpected_errors=0, armed=armed), policy)
    if verdict.spent:
        assert verdict.state in (State.FAILED, State.BLOCKED)
