"""An answer that is not the platform's decides nothing: any status, any body, at every step of every way to publish."""

from __future__ import annotations

import pytest

from adapters.errors import AdapterError, OutcomeUnknown, Unavailable
from pipeline.domain.delivery import Reason, State
from tests.adapters.conformance.conftest import CASES, DISTINCT, DISTINCT_CASES
from tests.adapters.conformance.environment import Environment
from tests.adapters.conformance.faults import find_steps
from tests.adapters.conformance.lost_responses import get_documented_outcomes
from tests.adapters.conformance.post_cases import PostCase
from tests.adapters.conformance.simulation import DeliverySimulation

HTML, EMPTY, JSON = "<html><title>Access denied</title></html>", "", "{}"
ANSWERS = (
    *((401, HTML), (429, EMPTY), (400, JSON), (403, HTML), (404, EMPTY), (500, JSON)),
    *((200, HTML), (200, EMPTY), (200, JSON)),
)
"""Each status and each body; ``test_errors.py`` of the adapters has all pairs, for each platform and phase."""
SOME_ANSWERS = ((401, HTML), (404, EMPTY), (200, JSON))
EVERY_STEP = {
    "tiktok creator video, chunks",
    "tiktok creator photos, public",
    "tiktok business video, with a sound",
    "instagram carousel",
    "instagram reel, bytes",
    "facebook feed post",
    "facebook reel, bytes",
    "facebook video",
    "youtube video, chunks",
    "pinterest image, with a link",
    "pinterest video, with a link",
    "linkedin image of a member",
    "linkedin video of an organization",
}
"""Cases that pass by every step of every platform between them."""
SOME_CASES = [case for case in CASES if case.name in EVERY_STEP]
CONNECTIONS = {(case.sandbox_platform, case.connection): case for case in reversed(CASES)}


def _describe(simulation: DeliverySimulation, status: int, body: str) -> str:
    return f"{status} {body}: {simulation.state}, {simulation.errors}"


def test_the_cases_pass_by_every_step(environment: Environment) -> None:
    assert len(SOME_CASES) == len(EVERY_STEP)
    steps = [
        {(c.sandbox_platform, s) for c in cases for s in find_steps(environment, c)}
        for cases in (SOME_CASES, CASES)
    ]
    assert steps[0] == steps[1]
    assert {case.name for case in DISTINCT_CASES} == DISTINCT >= EVERY_STEP


def test_after_the_visible_call_it_is_an_unknown_outcome_that_is_looked_at(
    environment: Environment, post_case: PostCase
) -> None:
    for status, body in ANSWERS:
        environment.clear_faults()
        environment.add_fault(
            post_case.sandbox_platform, "finalize", "effect-then-answer", status=status, body=body
        )
        simulation = DeliverySimulation.create(environment, post_case).run()
        about = _describe(simulation, status, body)
        assert [type(error) for error in simulation.errors] == [OutcomeUnknown], about
        assert (simulation.finalize_calls, len(environment.list_live(simulation.account))) == (1, 1), about
        assert simulation.reconnects == 0, about
        if get_documented_outcomes(post_case)[0] == "found by look":
            assert simulation.state is State.PUBLISHED, about
        else:
            assert (simulation.state, simulation.reason) == (State.BLOCKED, Reason.IS_IT_LIVE), about
        assert not simulation.list_leaks(), about


@pytest.mark.parametrize("post_case", SOME_CASES, ids=lambda case: case.name.replace(" ", "_"))
@pytest.mark.parametrize(
    ("fault", "answers"), [("answer", ANSWERS), ("effect-then-answer", SOME_ANSWERS)], ids=["none", "effect"]
)
def test_at_every_other_step_it_is_unavailable(
    environment: Environment, post_case: PostCase, fault: str, answers: tuple[tuple[int, str], ...]
) -> None:
    """Every step but the visible call answers so once, with and without the effect of the request."""
    steps = [step for step in find_steps(environment, post_case) if step not in ("finalize", "media")]
    for status, body in answers:
        environment.clear_faults()
        for step in steps:
            environment.add_fault(post_case.sandbox_platform, step, fault, status=status, body=body)
        simulation = DeliverySimulation.create(environment, post_case).run()
        about = _describe(simulation, status, body)
        assert {type(error) for error in simulation.errors} <= {Unavailable}, about
        assert simulation.state is State.PUBLISHED, about
        assert (simulation.finalize_calls, len(environment.list_live(simulation.account))) == (1, 1), about
        assert simulation.reconnects == 0, about
        assert not simulation.list_leaks(), about


def test_without_an_effect_the_visible_call_is_proven_absent_or_left_to_a_person(
    environment: Environment, post_case: PostCase
) -> None:
    for status, body in SOME_ANSWERS:
        environment.clear_faults()
        environment.add_fault(post_case.sandbox_platform, "finalize", "answer", status=status, body=body)
        simulation = DeliverySimulation.create(environment, post_case).run()
        about = _describe(simulation, status, body)
        live = len(environment.list_live(simulation.account))
        assert type(simulation.errors[0]) is OutcomeUnknown, about
        assert live == simulation.finalize_calls - 1 == int(simulation.state is State.PUBLISHED), about
        if simulation.state is not State.PUBLISHED:
            assert get_documented_outcomes(post_case)[1] == "left to a person", about
            assert (simulation.state, simulation.reason) == (State.BLOCKED, Reason.IS_IT_LIVE), about


@pytest.mark.parametrize("post_case", CONNECTIONS.values(), ids=lambda case: case.name.replace(" ", "_"))
def test_only_the_platform_refuses_a_refresh(environment: Environment, post_case: PostCase) -> None:
    simulation = DeliverySimulation.create(environment, post_case)
    for status, body in ANSWERS:
        environment.clear_faults()
        key = environment.add_fault(post_case.sandbox_platform, "refresh", "answer", status=status, body=body)
        error: AdapterError | None = None
        try:
            simulation.make_worker()[0].refresh(simulation.account)
        except AdapterError as caught:
            error = caught
        if environment.count_strikes(key):  # some connections have nothing to refresh
            assert type(error) is Unavailable, (status, body, error)
