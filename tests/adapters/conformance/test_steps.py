"""The adapter contract: steps, worker deaths between them, looks without effect, one visible call."""

from __future__ import annotations

from collections.abc import Container
from datetime import UTC, datetime
from itertools import count

import pytest

from adapters.contract import (
    Absent,
    Account,
    Adapter,
    CheckpointData,
    Draft,
    FinalizeResult,
    LookResult,
    Platform,
    Ready,
)
from adapters.errors import Unavailable
from adapters.http import HttpClient
from adapters.pinterest.adapter import Pinterest
from adapters.registry import ADAPTERS
from adapters.sandbox.server import PLATFORMS
from pipeline.domain.delivery import State
from tests.adapters.conformance.conftest import CASES
from tests.adapters.conformance.environment import Environment
from tests.adapters.conformance.lost_responses import EFFECT_FAULTS, get_documented_outcomes
from tests.adapters.conformance.post_cases import POST_CASES, PostCase
from tests.adapters.conformance.simulation import ContractViolation, DeliverySimulation

CHANGED_BY_READS = {"token", "fault", "window", "day"}
"""Kinds of sandbox records that a read may change: a token's first use, counts of requests."""


def test_a_platform_joins_the_suite_by_an_adapter_and_a_stand_in() -> None:
    both = {p for p in ADAPTERS if any(name.partition("_")[0] == p for name in PLATFORMS)}
    assert {s.platform for s in CASES} == both
    assert {s.platform for s in POST_CASES} == set(Platform)


def test_one_changing_request_makes_one_post(environment: Environment, every_case: PostCase) -> None:
    # each step of the simulation checks its requests
    simulation = DeliverySimulation.create(environment, every_case).run()
    assert isinstance(simulation.make_worker()[0], Adapter)
    assert (simulation.state, simulation.finalize_calls, simulation.errors) == (State.PUBLISHED, 1, [])
    [line] = environment.list_live(simulation.account)
    assert simulation.published is not None
    assert not simulation.list_leaks()
    assert line["caption"] in simulation.draft.caption or simulation.draft.caption[:80] in line["caption"]


def test_a_worker_that_dies_after_any_step_leaves_it_to_another(
    environment: Environment, post_case: PostCase
) -> None:
    """The step ran, but its checkpoint was not stored: the next worker repeats it."""
    for dies_at in count():
        simulation = DeliverySimulation.create(environment, post_case)
        steps = 0
        while not isinstance(result := simulation.prepare(), Ready):
            if steps != dies_at:
                simulation.checkpoint = result.checkpoint
            steps += 1
        simulation.checkpoint = result.checkpoint
        simulation.run()
        assert (simulation.state, simulation.finalize_calls) == (State.PUBLISHED, 1), simulation.errors
        assert len(environment.list_live(simulation.account)) == 1
        if dies_at >= steps:
            return


def test_a_worker_that_dies_in_the_visible_call_leaves_an_unknown_outcome(
    environment: Environment, post_case: PostCase
) -> None:
    simulation = DeliverySimulation.create(environment, post_case)
    simulation.run_until_ready()
    simulation.arm()
    simulation.finalize()  # the result is lost with its worker
    simulation.state = State.UNKNOWN
    simulation.run()
    assert len(environment.list_live(simulation.account)) == 1
    assert simulation.finalize_calls == 1
    wanted = State.PUBLISHED if get_documented_outcomes(post_case)[0] == "found by look" else State.BLOCKED
    assert simulation.state is wanted


def test_a_worker_that_dies_right_before_the_visible_call_makes_no_second_post(
    environment: Environment, post_case: PostCase
) -> None:
    simulation = DeliverySimulation.create(environment, post_case)
    simulation.run_until_ready()
    simulation.arm()
    simulation.state = State.UNKNOWN
    simulation.run()
    is_sent_again = get_documented_outcomes(post_case)[1] == "proven absent, sent again"
    assert simulation.state is (State.PUBLISHED if is_sent_again else State.BLOCKED)
    assert len(environment.list_live(simulation.account)) == simulation.finalize_calls == int(is_sent_again)


def test_a_worker_whose_time_ran_out_sends_nothing(environment: Environment, post_case: PostCase) -> None:
    simulation = DeliverySimulation.create(environment, post_case)
    simulation.run_until_ready()
    client = HttpClient(may_send=lambda: False)
    adapter = environment.adapters[post_case.platform](client, environment.make_settings(post_case))
    simulation.arm()
    with pytest.raises(Exception, match=r".") as caught:
        adapter.finalize(simulation.draft, simulation.account, simulation.stored_checkpoint)
    assert type(caught.value) is Unavailable  # proves that nothing was sent
    assert caught.value.code == "deadline_passed" or post_case.platform in ("facebook", "instagram")
    assert environment.list_live(simulation.account) == []
    assert simulation.run().state is State.PUBLISHED or simulation.state is State.BLOCKED
    assert len(environment.list_live(simulation.account)) <= 1


class RepeatsFinalize(Pinterest):
    """Breaks the contract: makes its visible call twice."""

    def finalize(self, draft: Draft, account: Account, checkpoint: CheckpointData) -> FinalizeResult:
        super().finalize(draft, account, checkpoint)
        return super().finalize(draft, account, checkpoint)


class LooksAfterFinalize(Pinterest):
    """Breaks the contract: sends a read after its visible call."""

    def finalize(self, draft: Draft, account: Account, checkpoint: CheckpointData) -> FinalizeResult:
        made = super().finalize(draft, account, checkpoint)
        self.look(draft, account, checkpoint, datetime.now(UTC), ())
        return made


class ReportsAbsent(Pinterest):
    """Breaks the contract: reports every lost response as an absent post."""

    def look(
        self,
        draft: Draft,
        account: Account,
        checkpoint: CheckpointData,
        armed_at: datetime | None,
        taken: Container[str],
    ) -> LookResult:
        result = super().look(draft, account, checkpoint, armed_at, taken)
        return result if armed_at is None else Absent(checkpoint=checkpoint)


@pytest.mark.parametrize("broken", [RepeatsFinalize, LooksAfterFinalize, ReportsAbsent])
def test_the_suite_notices_an_adapter_that_breaks_the_contract(
    environment: Environment, monkeypatch: pytest.MonkeyPatch, broken: type[Pinterest]
) -> None:
    monkeypatch.setattr(environment, "adapters", {**ADAPTERS, Platform.PINTEREST: broken})
    post_case = next(s for s in CASES if s.name == "pinterest image, with a link")
    environment.add_fault(
        "pinterest", "finalize", EFFECT_FAULTS[0] if broken is ReportsAbsent else "latency", delay_ms=0
    )
    simulation = DeliverySimulation.create(environment, post_case)
    if broken is ReportsAbsent:
        assert len(environment.list_live(simulation.run().account)) == 2
    else:
        with pytest.raises(ContractViolation):
            simulation.run()


def test_looks_change_nothing(environment: Environment, post_case: PostCase) -> None:
    """Look at every point of a delivery: before and after arming, and after a lost response."""
    simulation = DeliverySimulation.create(environment, post_case)
    _check_looks_change_nothing(simulation)
    while not isinstance(result := simulation.prepare(), Ready):
        simulation.checkpoint = result.checkpoint
        _check_looks_change_nothing(simulation)
    simulation.checkpoint = result.checkpoint
    _check_looks_change_nothing(simulation)
    simulation.armed_at = datetime.now(UTC)
    _check_looks_change_nothing(simulation)
    environment.add_fault(post_case.sandbox_platform, "finalize", EFFECT_FAULTS[0])
    with pytest.raises(Exception, match=r"."):
        simulation.finalize()
    _check_looks_change_nothing(simulation)
    assert len(environment.list_live(simulation.account)) == 1


def _check_looks_change_nothing(simulation: DeliverySimulation) -> None:
    simulation.environment.list_changes()
    before = simulation.environment.list_live(simulation.account)
    simulation.look()
    simulation.look()
    assert {kind for kind, _ in simulation.environment.list_changes()} <= CHANGED_BY_READS
    assert simulation.environment.list_live(simulation.account) == before
