"""The conformance suite, run over the example, and tests of Mammoth itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from adapters.contract import Adapter
from adapters.errors import AdapterError, CredentialsRevoked, OutcomeUnknown
from adapters.http import HttpClient
from tests.adapters.conformance.canned_server import CannedResponse, finalize_against, run_canned_server
from tests.adapters.conformance.environment import Environment
from tests.adapters.conformance.error_cases import UNDOCUMENTED_RESPONSES
from tests.adapters.conformance.lost_responses import read_outcome_table
from tests.adapters.conformance.post_cases import PostCase
from tests.adapters.conformance.simulation import DeliverySimulation
from tests.adapters.conformance.test_every_fault import (
    test_a_fault_costs_no_post_and_makes_no_second_one,
    test_a_look_that_fails_after_a_lost_answer_costs_nothing_either,
)
from tests.adapters.conformance.test_lost_responses import (
    test_a_post_of_another_delivery_is_never_taken_for_ours,
    test_a_post_that_did_not_go_out_is_proven_absent_or_left_to_a_person,
    test_a_post_that_went_out_is_never_sent_again,
)
from tests.adapters.conformance.test_steps import (
    test_a_worker_that_dies_after_any_step_leaves_it_to_another,
    test_a_worker_that_dies_in_the_visible_call_leaves_an_unknown_outcome,
    test_a_worker_that_dies_right_before_the_visible_call_makes_no_second_post,
    test_a_worker_whose_time_ran_out_sends_nothing,
    test_looks_change_nothing,
    test_one_changing_request_makes_one_post,
)
from tests.adapters.example.conftest import POST_CASES, README
from tests.adapters.example.mammoth import limits
from tests.adapters.example.mammoth.errors import TABLE

__all__ = [
    "test_a_fault_costs_no_post_and_makes_no_second_one",
    "test_a_look_that_fails_after_a_lost_answer_costs_nothing_either",
    "test_a_post_of_another_delivery_is_never_taken_for_ours",
    "test_a_post_that_did_not_go_out_is_proven_absent_or_left_to_a_person",
    "test_a_post_that_went_out_is_never_sent_again",
    "test_a_worker_that_dies_after_any_step_leaves_it_to_another",
    "test_a_worker_that_dies_in_the_visible_call_leaves_an_unknown_outcome",
    "test_a_worker_that_dies_right_before_the_visible_call_makes_no_second_post",
    "test_a_worker_whose_time_ran_out_sends_nothing",
    "test_looks_change_nothing",
    "test_one_changing_request_makes_one_post",
]


def test_what_it_says_to_the_visible_call_is_understood(
    environment: Environment, post_case: PostCase
) -> None:
    simulation = DeliverySimulation.create(environment, post_case)
    simulation.run_until_ready()
    listed: list[tuple[CannedResponse, type[AdapterError]]] = [
        (CannedResponse(status=status, body={"error": "…"}), row.error) for status, row in TABLE.items()
    ]
    nonsense: list[tuple[CannedResponse, type[AdapterError]]] = [
        (response, OutcomeUnknown) for response in UNDOCUMENTED_RESPONSES
    ]
    with run_canned_server() as server:
        for response, wanted in [*listed, *nonsense]:
            with pytest.raises(wanted) as caught:
                finalize_against(simulation, server, response)
            assert type(caught.value) is wanted


def test_over_its_limits_are_problems_and_no_request(environment: Environment, post_case: PostCase) -> None:
    client = HttpClient()
    adapter = environment.adapters[post_case.platform](client, environment.make_settings(post_case))
    draft, account = environment.make_draft(post_case), environment.create_account(post_case)
    assert adapter.problems(draft, account) == []
    assert draft.media[0].facts is not None
    huge = replace(draft.media[0].facts, bytes=limits.VIDEO_BYTES + 1, content_type="image/x-nothing")
    media = (replace(draft.media[0], facts=huge),) * (limits.IMAGES + 1)
    found = adapter.problems(replace(draft, caption="a" * (limits.CHARACTERS + 1), media=media), account)
    assert {p.field.partition("[")[0] for p in found} >= {"caption", "media"}
    assert len(found) == 2 + 2 * len(media)
    assert client.calls == []


def test_it_is_an_adapter_whose_grant_can_be_asked_for_and_not_renewed(environment: Environment) -> None:
    adapter = environment.adapters[POST_CASES[0].platform](
        HttpClient(), environment.make_settings(POST_CASES[0])
    )
    account = environment.create_account(POST_CASES[0])
    assert isinstance(adapter, Adapter)
    assert [found.remote_id for found in adapter.discover(account.credentials)] == [account.remote_id]
    assert adapter.authorize_url("https://us.example/back", "s", "c").startswith(
        f"{environment.base}/mammoth/oauth"
    )
    with pytest.raises(CredentialsRevoked):
        adapter.refresh(account)


def test_its_readme_has_a_row_for_every_post_kind() -> None:
    assert set(read_outcome_table(README)) == {s.kind for s in POST_CASES}
