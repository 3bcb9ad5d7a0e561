"""A platform that asks to wait never fails a post: after three days a person is asked."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from adapters.contract import Ended
from adapters.errors import RateLimited
from pipeline.domain.delivery import Reason, State
from pipeline.domain.delivery_error import RATE_LIMIT
from pipeline.domain.retry_policy import evaluate_error, evaluate_look
from pipeline.domain.verdict import Outcome, RetryState
from tests.pipeline.domain.test_retry_policy import AFTER, BEFORE, POLICY, seconds


@pytest.mark.parametrize("retry", [BEFORE, AFTER], ids=["before", "after"])
def test_after_three_days_of_waiting_a_person_is_asked_and_the_post_does_not_fail(retry: RetryState) -> None:
    error = RateLimited("slow down", retry_after=seconds(33), platform_code="429", platform_message="Slow!")
    almost = replace(retry, spent=9, unavailable_for={RATE_LIMIT: timedelta(days=3) - seconds(1)})
    assert evaluate_error(error, almost, POLICY).state is State.RETRYING
    long = replace(retry, spent=9, unavailable_for={RATE_LIMIT: timedelta(days=3)})
    verdict = evaluate_error(error, long, POLICY)
    assert (verdict.state, verdict.reason) == (State.BLOCKED, Reason.PERSON_NEEDED)
    assert (verdict.spent, verdict.disarm) == (False, retry.armed)
    asked = verdict.error
    assert isinstance(asked, RateLimited)
    assert "3 days" in asked.message
    assert "slow down" in asked.message
    assert (asked.platform_code, asked.platform_message) == ("429", "Slow!")


def test_a_publish_that_ended_by_a_rate_limit_costs_no_try_and_starts_anew() -> None:
    seen = Ended(error=RateLimited("too many posts", retry_after=seconds(33)))
    verdict = evaluate_look(seen, replace(AFTER, spent=9), POLICY)
    assert (verdict.state, verdict.wait, verdict.spent) == (State.RETRYING, seconds(33), False)
    assert (verdict.closes, verdict.disarm, verdict.checkpoint) == (Outcome.FAILED, True, {})
