"""The conformance suite, run over the example, and tests of Mammoth itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from adapters.contract import Adapter
from adapters.errors import AdapterError, CredentialsRevoked, OutcomeUnknown
from adapters.http import HttpClient
from tests.adapters.conformance.answering import Said, answering, told
from tests.adapters.conformance.codes import NONSENSE
from tests.adapters.conformance.environment import Ground
from tests.adapters.conformance.lost import told as rows_of
from tests.adapters.conformance.subjects import Subject
from tests.adapters.conformance.test_every_fault import (
    test_a_fault_costs_no_post_and_makes_no_second_one,
    test_a_look_that_fails_after_a_lost_answer_costs_nothing_either,
)
from tests.adapters.conformance.test_lost_answers import (
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
from tests.adapters.conformance.walk import Walk
from tests.adapters.example.conftest import README, SUBJECTS
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


def test_what_it_says_to_the_visible_call_is_understood(ground: Ground, subject: Subject) -> None:
    walk = Walk.of(ground, subject)
    walk.run_prepared()
    listed: list[tuple[Said, type[AdapterError]]] = [
        (Said(status=status, body={"error": "…"}), row.error) for status, row in TABLE.items()
    ]
    nonsense: list[tuple[Said, type[AdapterError]]] = [(said, OutcomeUnknown) for said in NONSENSE]
    with answering() as server:
        for said, wanted in [*listed, *nonsense]:
            with pytest.raises(wanted) as caught:
                told(walk, server, said)
            assert type(caught.value) is wanted


def test_over_its_limits_are_problems_and_no_request(ground: Ground, subject: Subject) -> None:
    client = HttpClient()
    adapter = ground.adapters[subject.platform](client, ground.settings(subject))
    draft, account = ground.draft(subject), ground.account(subject)
    assert adapter.problems(draft, account) == []
    assert draft.media[0].facts is not None
    huge = replace(draft.media[0].facts, bytes=limits.VIDEO_BYTES + 1, content_type="image/x-nothing")
    media = (replace(draft.media[0], facts=huge),) * (limits.IMAGES + 1)
    found = adapter.problems(replace(draft, caption="a" * (limits.CHARACTERS + 1), media=media), account)
    assert {p.field.partition("[")[0] for p in found} >= {"caption", "media"}
    assert len(found) == 2 + 2 * len(media)
    assert client.calls == []


def test_it_is_an_adapter_whose_grant_can_be_asked_for_and_not_renewed(ground: Ground) -> None:
    adapter = ground.adapters[SUBJECTS[0].platform](HttpClient(), ground.settings(SUBJECTS[0]))
    account = ground.account(SUBJECTS[0])
    assert isinstance(adapter, Adapter)
    assert [found.remote_id for found in adapter.discover(account.credentials)] == [account.remote_id]
    assert adapter.authorize_url("https://us.example/back", "s", "c").startswith(
        f"{ground.base}/mammoth/oauth"
    )
    with pytest.raises(CredentialsRevoked):
        adapter.refresh(account)


def test_its_readme_has_a_row_for_every_post_kind() -> None:
    assert set(rows_of(README)) == {s.kind for s in SUBJECTS}
