"""The circuit breaker: closed, open with one trial per pause, and closed again by a success."""

from __future__ import annotations

import math

import pytest

from pipeline import circuit_breaker
from pipeline.circuit_breaker import CircuitBreaker


def test_a_failure_opens_it_and_a_success_closes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(circuit_breaker, "PAUSE", math.inf)
    breaker = CircuitBreaker()
    assert [breaker.may_call() for _ in range(3)] == [True] * 3
    breaker.record_failure()
    assert breaker.is_open()
    assert not breaker.may_call()
    breaker.record_success()
    assert not breaker.is_open()
    assert breaker.may_call()


def test_after_the_pause_one_call_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(circuit_breaker, "PAUSE", 0.0)
    breaker = CircuitBreaker()
    breaker.record_failure()
    monkeypatch.setattr(circuit_breaker, "PAUSE", math.inf)
    assert [breaker.may_call() for _ in range(3)] == [True, False, False]
    assert breaker.is_open(), "until the trial has succeeded"
