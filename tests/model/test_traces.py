"""Replay on the real code the shortest traces to a double post that ``small_model`` finds in its broken variants."""

from __future__ import annotations

import pytest

from pipeline.actions.edit import edit
from pipeline.actions.post_changes import Change
from pipeline.domain.delivery import State
from pipeline.stages.delay import sweep
from tests.model.environment import LEASE_AND_MORE, SETTLE_AND_MORE, ModelEnvironment
from tests.model.faults import KILL, NO_FAULT, Died, FaultPlan, Worker
from tests.model.machine import Deliveries


class Scenario(Deliveries):
    """The state machine with one post and one delivery."""

    def __init__(self, model_environment: ModelEnvironment, late: int = 0) -> None:
        super().__init__(model_environment)
        self._ingest(both=False, late=late)
        sweep(self.context)

    def worker(self, task: str, pauses_at: str = "") -> Worker:
        """Run the newest message of this task in a worker, up to a failpoint."""
        message = [m for m in self.dispatcher.messages if m[0] == task][-1]
        made = Worker(task, lambda: self._run(*message))
        assert made.run(FaultPlan(at=pauses_at, how="pauses") if pauses_at else NO_FAULT) is not bool(
            pauses_at
        )
        return made

    def advance_and_maintain(self, seconds: int) -> None:
        """Let time pass, then run maintenance and a sweep."""
        self._advance(seconds)
        self._run_maintenance()
        sweep(self.context)

    def state(self) -> str:
        [one] = self._all()
        return str(one.state)

    def live(self) -> int:
        [one] = self._all()
        assert not self.violations, self.violations
        return len(self.fake_platform.live(str(one.id)))


@pytest.fixture
def scenario(model_environment: ModelEnvironment) -> Scenario:
    return Scenario(model_environment)


def test_one_that_lost_its_claim_stores_nothing_over_the_one_who_has_it(scenario: Scenario) -> None:
    scenario.fake_platform.prepare = "no connection"
    a = scenario.worker("publish.step", "publish.settling")  # its result: to be retried
    scenario.advance_and_maintain(LEASE_AND_MORE)
    b = scenario.worker("publish.step", "publish.answered")  # live, and not yet stored
    assert a.run(NO_FAULT)
    assert scenario.state() == State.PUBLISHING
    assert b.run(NO_FAULT)
    assert (scenario.state(), scenario.live()) == (State.PUBLISHED, 1)


def test_one_whose_lease_still_runs_keeps_its_claim(scenario: Scenario) -> None:
    a = scenario.worker("publish.step", "publish.prepared")
    scenario.advance_and_maintain(LEASE_AND_MORE // 20)
    assert scenario.state() == State.PUBLISHING
    assert a.run(NO_FAULT)
    assert (scenario.state(), scenario.live()) == (State.PUBLISHED, 1)


def test_one_that_wakes_up_after_its_deadline_sends_nothing(scenario: Scenario) -> None:
    a = scenario.worker("publish.step", "publish.armed")
    scenario.advance_and_maintain(LEASE_AND_MORE)
    assert scenario.state() == State.UNKNOWN
    for _ in range(3):
        scenario.advance_and_maintain(SETTLE_AND_MORE)
        if scenario.state() == State.UNKNOWN:
            scenario.worker("status.look")
    scenario.advance_and_maintain(SETTLE_AND_MORE)
    scenario.worker("publish.step")
    assert a.run(NO_FAULT)
    assert (scenario.state(), scenario.live()) == (State.PUBLISHED, 1)


def test_a_listing_that_misses_it_once_is_asked_twice(scenario: Scenario) -> None:
    scenario.fake_platform.finalize = "dropped, done"
    scenario.worker("publish.step")
    scenario.advance_and_maintain(SETTLE_AND_MORE)
    scenario.fake_platform.look = "lags"
    scenario.worker("status.look")
    assert scenario.state() == State.UNKNOWN
    scenario.advance_and_maintain(SETTLE_AND_MORE)
    scenario.worker("status.look")
    assert (scenario.state(), scenario.live()) == (State.PUBLISHED, 1)


def test_what_is_not_there_yet_is_not_sent_again(scenario: Scenario) -> None:
    scenario.fake_platform.finalize = "dropped, done late"
    scenario.worker("publish.step")
    for _ in range(3):
        scenario.advance_and_maintain(6)
        scenario.worker("status.look")
        assert scenario.state() == State.UNKNOWN
    scenario.advance_and_maintain(SETTLE_AND_MORE)
    scenario.worker("status.look")
    assert (scenario.state(), scenario.live()) == (State.PUBLISHED, 1)


def test_one_that_died_after_the_call_leaves_a_look(scenario: Scenario) -> None:
    a = scenario.worker("publish.step", "publish.answered")
    with pytest.raises(Died, match=r"publish\.answered"):
        a.run(KILL)
    scenario.advance_and_maintain(LEASE_AND_MORE)
    assert scenario.state() == State.UNKNOWN
    scenario.advance_and_maintain(SETTLE_AND_MORE)
    scenario.worker("status.look")
    assert (scenario.state(), scenario.live()) == (State.PUBLISHED, 1)


def test_one_that_prepared_the_old_text_does_not_arm_in_the_name_of_the_new(scenario: Scenario) -> None:
    a = scenario.worker("publish.step", "publish.checkpointed")
    [post] = scenario.accepted
    change = Change(given=frozenset({"caption"}), caption="the new text")
    edit(scenario.context, scenario.core.caller, post, change)
    sweep(scenario.context)
    b = scenario.worker("publish.step", "publish.claimed")
    assert a.run(NO_FAULT)
    assert scenario.live() == 0
    assert b.run(NO_FAULT)
    assert (scenario.state(), scenario.live()) == (State.PUBLISHED, 1)


def test_late_proof_settles_what_nobody_could_tell(scenario: Scenario) -> None:
    a = scenario.worker("publish.step", "publish.answered")
    scenario.advance_and_maintain(LEASE_AND_MORE)
    assert scenario.state() == State.UNKNOWN
    assert a.run(NO_FAULT)
    assert (scenario.state(), scenario.live()) == (State.PUBLISHED, 1)


def test_one_that_is_prepared_ahead_of_its_time_is_held_until_then(
    model_environment: ModelEnvironment,
) -> None:
    scenario = Scenario(model_environment, late=120)
    scenario.advance_and_maintain(70)  # within the prepare lead
    scenario.worker("publish.step")
    assert (scenario.state(), scenario.live()) == (State.SCHEDULED, 0)
    scenario.advance_and_maintain(60)
    scenario.worker("publish.step")
    assert (scenario.state(), scenario.live()) == (State.PUBLISHED, 1)
