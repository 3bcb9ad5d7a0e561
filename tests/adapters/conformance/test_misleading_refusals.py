"""Refusals of two platforms that cost posts: TikTok's of a chunk size, and LinkedIn's of a duplicate that is none."""

from __future__ import annotations

import json

import pytest

from adapters.errors import OutcomeUnknown
from adapters.tiktok.creator import REFUSED_FORMS
from pipeline.domain.delivery import Reason, State
from tests.adapters.conformance.conftest import CASES
from tests.adapters.conformance.environment import Environment
from tests.adapters.conformance.post_cases import PostCase
from tests.adapters.conformance.simulation import DeliverySimulation

BY_NAME = {case.name: case for case in CASES}
CHUNKS_REFUSED = {"data": {}, "error": {"code": "invalid_params", "message": "The chunk size is invalid"}}
GHOST = {
    "errorDetailType": "com.linkedin.common.error.BadRequest",
    "message": "urn:li:person:1: Content is a duplicate of urn:li:share:6789",
    "errorDetails": {
        "inputErrors": [{"description": "Duplicate post is detected", "code": "DUPLICATE_POST"}]
    },
    "status": 422,
}


def test_a_refused_chunk_size_costs_no_post(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(REFUSED_FORMS, "_until", {})
    case = BY_NAME["tiktok creator video, chunks"]
    environment.clear_faults()
    environment.add_fault("tiktok", "prepare", "answer", status=400, body=json.dumps(CHUNKS_REFUSED))
    simulation = DeliverySimulation.create(environment, case).run()
    assert (simulation.state, simulation.errors) == (State.PUBLISHED, [])
    assert len(environment.list_live(simulation.account)) == 1
    assert simulation.ready_checkpoint is not None
    assert simulation.ready_checkpoint["upload"]["plan"]["chunks"] == 1


@pytest.mark.parametrize(
    "post_case",
    [BY_NAME["linkedin image of a member"], BY_NAME["linkedin image of an organization"]],
    ids=["member", "organization"],
)
def test_a_duplicate_that_is_none_is_no_post(environment: Environment, post_case: PostCase) -> None:
    environment.clear_faults()
    environment.add_fault("linkedin", "finalize", "answer", status=422, body=json.dumps(GHOST))
    simulation = DeliverySimulation.create(environment, post_case).run()
    assert [type(error) for error in simulation.errors] == [OutcomeUnknown]
    assert (simulation.state, simulation.reason) == (State.BLOCKED, Reason.IS_IT_LIVE)
    assert environment.list_live(simulation.account) == []

    simulation.resolve_publish_again()
    simulation.run()
    assert (simulation.state, len(environment.list_live(simulation.account))) == (State.PUBLISHED, 1)
    assert simulation.published is not None
    assert not simulation.published.notes


def test_a_duplicate_of_an_organization_is_read_before_it_counts(environment: Environment) -> None:
    environment.clear_faults()
    case = BY_NAME["linkedin image of an organization"]
    environment.add_fault("linkedin", "finalize", "answer", status=422, body=json.dumps(GHOST))
    simulation = DeliverySimulation.create(environment, case).run()
    simulation.resolve_publish_again()
    environment.add_fault("linkedin", "finalize", "answer", status=422, body=json.dumps(GHOST))
    simulation.run()
    assert (simulation.state, simulation.reason) == (State.BLOCKED, Reason.IS_IT_LIVE)
    assert environment.list_live(simulation.account) == []
