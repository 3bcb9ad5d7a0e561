"""The circuit breaker: closed, open with one trial per pause, and closed again by a success."""

from __future__ import annotations

import math

import pytest
from redis.exceptions import RedisError

from pipeline.limits.rate_buckets import CircuitBreaker


def test_a_failure_opens_it_and_a_success_closes_it() -> None:
    breaker = CircuitBreaker(math.inf)
    assert [breaker.may_call() for _ in range(3)] == [True] * 3
    breaker.record_failure()
    assert breaker.is_open()
    assert not breaker.may_call()
    breaker.record_success()
    assert not breaker.is_open()
    assert breaker.may_call()


def test_after_the_pause_one_call_is_tried() -> None:
    breaker = CircuitBreaker(0.0)
    breaker.record_failure()
    breaker.pause = math.inf
    assert [breaker.may_call() for _ in range(3)] == [True, False, False]
    assert breaker.is_open(), "until the trial has succeeded"


@pytest.mark.parametrize("error", [RedisError, ConnectionRefusedError])
def test_a_call_that_fails_answers_none_and_none_is_made_after_it(error: type[Exception]) -> None:
    breaker = CircuitBreaker(math.inf)
    asked: list[None] = []

    def ask() -> int:
        asked.append(None)
        if len(asked) > 1:
            raise error
        return 0

    assert [breaker.call(ask) for _ in range(9)] == [0, *[None] * 8]
    assert len(asked) == 2


def test_an_error_of_ours_is_raised() -> None:
    breaker = CircuitBreaker()
    with pytest.raises(ZeroDivisionError):
        breaker.call(lambda: 1 // 0)
