"""First comments: one visible call, never two; a lost answer is found by look or left to an operator, never absent."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from adapters.contract import Adapter, CannotTell, Pending, Platform, Published, Ready
from adapters.errors import OutcomeUnknown, Rejected, Unavailable
from adapters.http import HttpClient
from adapters.registry import ADAPTERS, COMMENTS
from pipeline.domain.delivery import Reason, State
from tests.adapters.conformance.comment_simulation import COMMENT_CASES, CommentSimulation
from tests.adapters.conformance.environment import Environment
from tests.adapters.conformance.faults import FAULT_OPTIONS
from tests.adapters.conformance.lost_responses import EFFECT_FAULTS, NO_EFFECT_FAULTS
from tests.adapters.conformance.post_cases import PostCase
from tests.adapters.conformance.test_steps import CHANGED_BY_READS

every_case = pytest.mark.parametrize("case", COMMENT_CASES, ids=lambda c: c.name.replace(" ", "_"))
ONE_EACH = list({case.platform: case for case in reversed(COMMENT_CASES)}.values())
each_platform = pytest.mark.parametrize("case", ONE_EACH, ids=lambda c: str(c.platform))
BY_PLATFORM = {case.platform: case for case in ONE_EACH}


def publish(environment: Environment, case: PostCase) -> CommentSimulation:
    """Return the delivery of a comment on a new post, without any fault."""
    environment.clear_faults()
    return CommentSimulation.on_new_post(environment, case)


def lose(simulation: CommentSimulation, fault: str) -> CommentSimulation:
    """Send the comment while the fault loses the answer, and look until it is settled."""
    name = simulation.post_case.sandbox_platform
    simulation.environment.add_fault(name, "comment", fault, **FAULT_OPTIONS.get(fault, {}))
    simulation.run(lambda s: bool(s.errors))
    assert isinstance(simulation.errors[-1], OutcomeUnknown), simulation.errors
    assert simulation.state is State.UNKNOWN
    simulation.run()
    return simulation


def test_every_adapter_of_comments_is_tried() -> None:
    assert {case.platform for case in COMMENT_CASES} == set(COMMENTS)
    assert set(Platform) - set(COMMENTS) == {Platform.TIKTOK, Platform.PINTEREST}
    for platform, made in COMMENTS.items():
        assert issubclass(made, ADAPTERS[platform])
        can = made.capabilities
        assert (can.rates, can.keeps, can.daily_posts, can.daily_drafts) == ((), (), None, None)
        assert can.prepare_lead == timedelta(0) < can.settle_window < can.look_limit


@every_case
def test_one_changing_request_makes_one_comment(environment: Environment, case: PostCase) -> None:
    simulation = publish(environment, case)
    simulation.run()
    assert isinstance(simulation.make_worker()[0], Adapter)
    assert (simulation.state, simulation.finalize_calls, simulation.errors) == (State.PUBLISHED, 1, [])
    [line] = simulation.list_comments()
    assert simulation.published == Published(remote_id=line["remote_id"])
    assert (line["caption"], line["extra"]["on"]) == (simulation.draft.caption, simulation.post.remote_id)
    assert not simulation.list_leaks()


@every_case
@pytest.mark.parametrize("fault", EFFECT_FAULTS)
def test_a_comment_that_went_out_is_found_and_never_sent_again(
    environment: Environment, case: PostCase, fault: str
) -> None:
    simulation = lose(publish(environment, case), fault)
    [line] = simulation.list_comments()
    assert (simulation.state, simulation.finalize_calls) == (State.PUBLISHED, 1)
    assert simulation.published == Published(remote_id=line["remote_id"], is_searched=True)
    assert not simulation.list_leaks()


@every_case
@pytest.mark.parametrize("fault", NO_EFFECT_FAULTS)
def test_a_comment_that_did_not_go_out_is_left_to_an_operator(
    environment: Environment, case: PostCase, fault: str
) -> None:
    simulation = lose(publish(environment, case), fault)
    assert (simulation.state, simulation.reason) == (State.BLOCKED, Reason.IS_IT_LIVE)
    assert {type(result) for result in simulation.look_results} == {CannotTell}
    assert (simulation.finalize_calls, simulation.list_comments()) == (1, [])
    simulation.resolve_publish_again()
    simulation.run()
    assert (simulation.state, len(simulation.list_comments())) == (State.PUBLISHED, 1)


@every_case
def test_a_worker_that_dies_after_any_step_leaves_it_to_another(
    environment: Environment, case: PostCase
) -> None:
    simulation = publish(environment, case)
    steps = 0
    while isinstance(result := simulation.prepare(), Pending):
        again = simulation.prepare()  # the checkpoint was not stored
        assert again == result
        simulation.checkpoint, steps = result.checkpoint, steps + 1
    assert steps == int(case.kind == "comment on a reel")
    simulation.checkpoint = result.checkpoint
    simulation.arm()
    simulation.finalize()  # the result is lost with its worker
    simulation.state = State.UNKNOWN
    simulation.run()
    assert (simulation.state, simulation.finalize_calls) == (State.PUBLISHED, 1)
    assert len(simulation.list_comments()) == 1


@every_case
def test_a_worker_that_dies_right_before_the_visible_call_sends_nothing(
    environment: Environment, case: PostCase
) -> None:
    simulation = publish(environment, case)
    simulation.run_until_ready()
    simulation.arm()
    simulation.state = State.UNKNOWN
    simulation.run()
    assert (simulation.state, simulation.reason) == (State.BLOCKED, Reason.IS_IT_LIVE)
    assert (simulation.finalize_calls, simulation.list_comments()) == (0, [])


@every_case
def test_a_worker_whose_time_ran_out_sends_nothing(environment: Environment, case: PostCase) -> None:
    simulation = publish(environment, case)
    simulation.run_until_ready()
    adapter = simulation._build(HttpClient(may_send=lambda: False))
    with pytest.raises(Unavailable):
        adapter.finalize(simulation.draft, simulation.account, simulation.stored_checkpoint)
    assert simulation.list_comments() == []


@each_platform
def test_an_effect_that_comes_after_we_gave_up_waiting_is_found(
    environment: Environment, case: PostCase
) -> None:
    simulation = publish(environment, case)
    environment.add_fault(case.sandbox_platform, "comment", "latency", delay_ms=600)
    simulation.run_until_ready()
    simulation.call_limit = timedelta(seconds=0.3)
    simulation.run(lambda s: bool(s.errors))
    assert simulation.list_comments() == []
    simulation.call_limit = None
    environment.wait_until(lambda: len(simulation.list_comments()) == 1)
    simulation.run()
    assert (simulation.state, simulation.finalize_calls) == (State.PUBLISHED, 1)


@every_case
def test_looks_change_nothing(environment: Environment, case: PostCase) -> None:
    simulation = publish(environment, case)
    simulation.run_until_ready()
    assert isinstance(simulation.look(), Ready)
    environment.add_fault(case.sandbox_platform, "comment", EFFECT_FAULTS[0])
    simulation.arm()
    with pytest.raises(OutcomeUnknown):
        simulation.finalize()
    environment.list_changes()
    simulation.look()
    simulation.look()
    assert {kind for kind, _ in environment.list_changes()} <= CHANGED_BY_READS
    assert len(simulation.list_comments()) == 1


@each_platform
@pytest.mark.parametrize("fault", ["429", "5xx", "drop", "token-expired", "token-revoked", "spam-block"])
def test_a_fault_costs_no_comment_and_makes_no_second_one(
    environment: Environment, case: PostCase, fault: str
) -> None:
    for step in ("comment", "look"):
        simulation = publish(environment, case)
        environment.add_fault(
            case.sandbox_platform, "comment", "effect-then-drop" if step == "look" else fault
        )
        if step == "look":
            environment.add_fault(case.sandbox_platform, "look", fault)
        simulation.run()
        live = len(simulation.list_comments())
        about = f"{step}, {fault}: {simulation.state}, {simulation.errors}"
        if simulation.state is State.PUBLISHED:
            assert live == 1, about
        elif simulation.state is State.FAILED:
            assert (live, fault) == (0, "spam-block"), about
        else:
            assert (simulation.state, simulation.reason) == (State.BLOCKED, Reason.IS_IT_LIVE), about
            assert (live, fault in ("5xx", "drop")) == (0, True), about
        assert not simulation.list_leaks()


# --- refusals --------------------------------------------------------------------------------------------------------

WITHOUT = {
    Platform.INSTAGRAM: ["instagram_business_basic", "instagram_business_content_publish"],
    Platform.FACEBOOK: ["pages_show_list", "pages_read_engagement", "pages_manage_posts"],
    Platform.YOUTUBE: [f"https://www.googleapis.com/auth/youtube.{name}" for name in ("upload", "readonly")],
    Platform.LINKEDIN: ["w_organization_social", "r_organization_social", "rw_organization_admin"],
}


@each_platform
def test_a_grant_without_the_permission_refuses_the_comment_and_no_more(
    environment: Environment, case: PostCase
) -> None:
    options = {**case.account_options, "scopes": WITHOUT[case.platform]}
    simulation = publish(environment, replace(case, account_options=options))
    simulation.run()
    assert simulation.state is State.FAILED
    assert simulation.reconnects == 0
    [error] = simulation.errors
    assert isinstance(error, Rejected)
    assert error.code == "comment_not_allowed"
    assert simulation.list_comments() == []


@pytest.mark.parametrize("platform", [Platform.LINKEDIN, Platform.YOUTUBE])
def test_a_post_that_is_not_found_at_first_gets_its_comment(
    environment: Environment, platform: Platform
) -> None:
    case = BY_PLATFORM[platform]
    simulation = publish(environment, case)
    body = {
        Platform.LINKEDIN: '{"status":404,"code":"RESOURCE_NOT_FOUND","message":"Could not find entity"}',
        Platform.YOUTUBE: '{"error":{"code":404,"message":"","errors":[{"reason":"videoNotFound"}]}}',
    }[platform]
    environment.add_fault(case.sandbox_platform, "comment", "answer", 2, status=404, body=body)
    simulation.run()
    assert (simulation.state, simulation.finalize_calls) == (State.PUBLISHED, 3)
    assert [type(error) for error in simulation.errors] == [Unavailable, Unavailable]
    assert len(simulation.list_comments()) == 1
