"""Every fault at every step of every way to publish: one post or a proven failure, never two posts, no leaked secret.

Answers of one's choice, which proxies give, are in ``test_proxy_answers.py``.
"""

from __future__ import annotations

import pytest

from adapters.errors import Permanent
from pipeline.domain.delivery import Reason, State
from tests.adapters.conformance.environment import Environment
from tests.adapters.conformance.faults import (
    FAULT_OPTIONS,
    MEDIA_FAULTS,
    TESTED_FAULTS,
    can_strike,
    find_steps,
)
from tests.adapters.conformance.lost_responses import (
    EFFECT_FAULTS,
    LOST_RESPONSE_FAULTS,
    get_documented_outcomes,
)
from tests.adapters.conformance.post_cases import PostCase
from tests.adapters.conformance.simulation import DeliverySimulation

FINAL_FAULTS = {"fail-processing", "spam-block"}
"""Faults that end a post for good."""


@pytest.mark.parametrize("fault", TESTED_FAULTS)
def test_a_fault_costs_no_post_and_makes_no_second_one(
    environment: Environment, post_case: PostCase, fault: str
) -> None:
    steps = find_steps(environment, post_case)
    assert {"finalize"} <= set(steps)
    if not can_strike(environment, post_case, fault):
        return
    for step in steps:
        if step == "media" and fault not in MEDIA_FAULTS:
            continue
        environment.clear_faults()
        environment.add_fault(post_case.sandbox_platform, step, fault, 1, **FAULT_OPTIONS.get(fault, {}))
        simulation = DeliverySimulation.create(environment, post_case).run()
        _check_outcome(simulation, step, fault)
        if step == "finalize" and fault in EFFECT_FAULTS:
            assert (simulation.finalize_calls, len(environment.list_live(simulation.account))) == (1, 1), (
                fault
            )


@pytest.mark.parametrize("fault", ["429", "5xx", "drop", "token-expired"])
def test_a_look_that_fails_after_a_lost_answer_costs_nothing_either(
    environment: Environment, post_case: PostCase, fault: str
) -> None:
    environment.add_fault(post_case.sandbox_platform, "finalize", EFFECT_FAULTS[0])
    for step in ("look", "read", "upload"):
        environment.add_fault(post_case.sandbox_platform, step, fault, 1)
    simulation = DeliverySimulation.create(environment, post_case).run()
    _check_outcome(simulation, "finalize, then look", EFFECT_FAULTS[0])
    assert simulation.finalize_calls == 1
    assert len(environment.list_live(simulation.account)) == 1


def _check_outcome(simulation: DeliverySimulation, step: str, fault: str) -> None:
    live = len(simulation.environment.list_live(simulation.account))
    about = f"{step}, {fault}: {simulation.state}, {simulation.errors}"
    assert live <= 1, about
    if simulation.state is State.PUBLISHED:
        assert live == 1, about
    elif simulation.state is State.FAILED:
        assert live == 0, about
        assert fault in FINAL_FAULTS or step == "media", about
        assert simulation.look_results or any(isinstance(error, Permanent) for error in simulation.errors), (
            about
        )
    else:
        assert (simulation.state, simulation.reason) == (State.BLOCKED, Reason.IS_IT_LIVE), about
        assert fault in LOST_RESPONSE_FAULTS, about
        assert get_documented_outcomes(simulation.post_case)[live == 0].startswith("left to a person"), about
    assert not simulation.list_leaks(), about
