"""A lost response to the visible call is an unknown outcome that ends as the adapter's README documents.

Here it is lost by a drop; ``test_every_fault.py`` and ``test_proxy_answers.py`` lose it in every other way.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from adapters.contract import Platform
from tests.adapters.conformance.conftest import CASES
from tests.adapters.conformance.environment import Environment
from tests.adapters.conformance.lost_responses import (
    DUPLICATE_REFUSED,
    EFFECT_FAULTS,
    FOUND_BY_LOOK,
    NO_EFFECT_FAULTS,
    READMES,
    get_documented_outcomes,
    lose_response,
    publish_again,
    read_outcome_table,
)
from tests.adapters.conformance.post_cases import PostCase
from tests.adapters.conformance.simulation import DeliverySimulation

LATENCY = 0.6
DEADLINE = 0.3


def test_a_post_that_went_out_is_never_sent_again(environment: Environment, every_case: PostCase) -> None:
    result = lose_response(environment, every_case, EFFECT_FAULTS[0])
    documented = get_documented_outcomes(every_case)[0]
    assert result.live == 1
    assert result.simulation.finalize_calls == 1
    if documented == DUPLICATE_REFUSED:
        assert publish_again(result.simulation) == DUPLICATE_REFUSED
        assert len(environment.list_live(result.simulation.account)) == 1
    else:
        assert result.outcome == documented
    assert not result.simulation.list_leaks()


def test_a_post_that_did_not_go_out_is_proven_absent_or_left_to_a_person(
    environment: Environment, every_case: PostCase
) -> None:
    result = lose_response(environment, every_case, NO_EFFECT_FAULTS[0])
    assert result.outcome == get_documented_outcomes(every_case)[1]
    sent_again = result.simulation.finalize_calls == 2
    assert sent_again == (result.live == 1)
    assert not result.simulation.list_leaks()


def test_a_post_of_another_delivery_is_never_taken_for_ours(
    environment: Environment, post_case: PostCase
) -> None:
    found = lose_response(environment, post_case, EFFECT_FAULTS[0])
    if not post_case.is_searched or found.outcome != FOUND_BY_LOOK:
        assert not (post_case.is_searched and get_documented_outcomes(post_case)[0] == FOUND_BY_LOOK)
        return
    assert found.simulation.published is not None
    other_id = found.simulation.published.remote_id
    simulation = found.simulation
    simulation.taken = {other_id}
    assert getattr(simulation.look(), "remote_id", None) != other_id


WITHOUT_UPLOAD = [s for s in CASES if s.platform is not Platform.YOUTUBE and s.kind != "creator video"]
"""Cases whose visible call does not end an upload: an aborted upload has no late effect."""


@pytest.mark.parametrize(
    "post_case", {s.platform: s for s in reversed(WITHOUT_UPLOAD)}.values(), ids=lambda s: s.platform
)
def test_an_effect_that_comes_after_we_gave_up_waiting_is_found(
    environment: Environment, post_case: PostCase
) -> None:
    environment.add_fault(post_case.sandbox_platform, "finalize", "latency", delay_ms=int(LATENCY * 1000))
    simulation = DeliverySimulation.create(environment, post_case)
    simulation.run_until_ready()
    simulation.call_limit = timedelta(seconds=DEADLINE)
    simulation.run(lambda s: bool(s.errors))
    assert environment.list_live(simulation.account) == []
    simulation.call_limit = None
    environment.wait_until(lambda: len(environment.list_live(simulation.account)) == 1)
    simulation.run()
    assert len(environment.list_live(simulation.account)) == 1
    assert simulation.finalize_calls == 1


@pytest.mark.parametrize("platform", sorted({s.platform for s in CASES}))
def test_the_readme_has_a_row_for_every_post_kind_and_no_other(platform: str) -> None:
    rows = {path: set(read_outcome_table(path)) for name, path in READMES.items() if name == platform}
    assert set().union(*rows.values()) == {s.kind for s in CASES if s.platform == platform}
