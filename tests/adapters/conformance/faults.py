"""Find which faults of the sandbox can strike a post case, and at which steps, by running it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from adapters.sandbox.faults import FAULTS, STEPS, WITH_STATUS, WITHIN
from tests.adapters.conformance.environment import Environment
from tests.adapters.conformance.post_cases import PostCase
from tests.adapters.conformance.simulation import DeliverySimulation

MANY_TIMES = 1000
EXCLUDED_STEPS = {"refresh", "oauth", "consent", "cancel", "any", "status"}
"""Steps outside a publish, and aliases."""
MUSIC_ONLY = {"oembed-no-anchor", "oembed-gone"}
PLATFORM_SPECIFIC = {*WITHIN, "spam-block", "quota-exhausted"}
FAULT_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "late-visibility": {"delay_ms": 5000},
    "latency": {"delay_ms": 10},
    "fail-processing": {"reason": "internal"},
    "answer": {"status": 401, "body": "<html>"},
    "effect-then-answer": {"status": 401, "body": "<html>"},
}
MEDIA_FAULTS = ("429", "drop")
"""Every other fault is a 503 of the media host, which a platform's fetcher cannot distinguish from a 429."""
TESTED_FAULTS = tuple(fault for fault in FAULTS if fault not in {*MUSIC_ONLY, *WITH_STATUS})


def find_steps(environment: Environment, post_case: PostCase) -> tuple[str, ...]:
    """Return the sandbox's names of the steps of publishing this case and looking for it."""
    return _find_steps(_CacheKey(environment, post_case))


class _CacheKey:
    """A cache key that compares by the case's name alone."""

    def __init__(self, environment: Environment, post_case: PostCase) -> None:
        self.environment, self.post_case = environment, post_case

    def __hash__(self) -> int:
        return hash(self.post_case.name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _CacheKey) and self.post_case.name == other.post_case.name


@cache
def _find_steps(key: _CacheKey) -> tuple[str, ...]:
    environment, post_case = key.environment, key.post_case
    environment.clear_faults()
    latency_faults = {
        step: environment.add_fault(post_case.sandbox_platform, step, "latency", MANY_TIMES, delay_ms=0)
        for step in STEPS
        if step not in EXCLUDED_STEPS
    }
    DeliverySimulation.create(environment, post_case).run()
    steps = {step for step, fault in latency_faults.items() if environment.count_strikes(fault)}
    environment.clear_faults()
    return tuple(step for step in STEPS if step in steps)


def can_strike(environment: Environment, post_case: PostCase, fault: str) -> bool:
    """Return True if the fault can strike such a post; some faults exist on one platform only."""
    return fault not in PLATFORM_SPECIFIC or _can_strike(_CacheKey(environment, post_case), fault)


@cache
def _can_strike(key: _CacheKey, fault: str) -> bool:
    environment, post_case = key.environment, key.post_case
    environment.clear_faults()
    fault_id = environment.add_fault(
        post_case.sandbox_platform, "any", fault, MANY_TIMES, **FAULT_OPTIONS.get(fault, {})
    )
    simulation = DeliverySimulation.create(environment, post_case)
    simulation.run(lambda s: bool(s.looks or s.errors))  # a longer run would clear the faults
    struck = environment.count_strikes(fault_id) > 0
    environment.clear_faults()
    return struck
