"""The shortest ways to a double post that ``small`` finds in its broken variants, walked on the real code."""

from __future__ import annotations

import pytest

from pipeline.actions.edit import Change, edit
from pipeline.domain.delivery import State
from pipeline.stages import delay
from tests.model.environment import LEASE_AND_MORE, SETTLE_AND_MORE, Ground
from tests.model.machine import Deliveries
from tests.model.trouble import END, NONE, Died, Plan, Worker


class Walk(Deliveries):
    """One post and its delivery."""

    def __init__(self, ground: Ground, late: int = 0) -> None:
        super().__init__(ground)
        self._ingest(both=False, late=late)
        delay.sweep(self.context)

    def worker(self, task: str, pauses_at: str = "") -> Worker:
        """Takes the newest message of this kind, as far as that point."""
        message = [m for m in self.pouch.messages if m[0] == task][-1]
        made = Worker(task, lambda: self._run(*message))
        assert made.go(Plan(at=pauses_at, how="pauses") if pauses_at else NONE) is not bool(pauses_at)
        return made

    def later(self, seconds: int) -> None:
        """Time passes, then the upkeep and the ticker run."""
        self._advance(seconds)
        self._chores()
        delay.sweep(self.context)

    def state(self) -> str:
        [one] = self._all()
        return str(one.state)

    def live(self) -> int:
        [one] = self._all()
        assert not self.wrong, self.wrong
        return len(self.shore.live(str(one.id)))


@pytest.fixture
def walk(ground: Ground) -> Walk:
    return Walk(ground)


def test_one_that_lost_its_claim_stores_nothing_over_the_one_who_has_it(walk: Walk) -> None:
    walk.shore.prepare = "no connection"
    a = walk.worker("publish.step", "publish.settling")  # it knows: to be retried
    walk.later(LEASE_AND_MORE)
    b = walk.worker("publish.step", "publish.answered")  # live, and nobody knows yet
    assert a.go(NONE)
    assert walk.state() == State.PUBLISHING
    assert b.go(NONE)
    assert (walk.state(), walk.live()) == (State.PUBLISHED, 1)


def test_one_that_wakes_up_after_its_deadline_sends_nothing(walk: Walk) -> None:
    a = walk.worker("publish.step", "publish.armed")
    walk.later(LEASE_AND_MORE)
    assert walk.state() == State.UNKNOWN
    for _ in range(3):
        walk.later(SETTLE_AND_MORE)
        if walk.state() == State.UNKNOWN:
            walk.worker("status.look")
    walk.later(SETTLE_AND_MORE)
    walk.worker("publish.step")
    assert a.go(NONE)
    assert (walk.state(), walk.live()) == (State.PUBLISHED, 1)


def test_a_listing_that_misses_it_once_is_asked_twice(walk: Walk) -> None:
    walk.shore.finalize = "dropped, done"
    walk.worker("publish.step")
    walk.later(SETTLE_AND_MORE)
    walk.shore.look = "lags"
    walk.worker("status.look")
    assert walk.state() == State.UNKNOWN
    walk.later(SETTLE_AND_MORE)
    walk.worker("status.look")
    assert (walk.state(), walk.live()) == (State.PUBLISHED, 1)


def test_what_is_not_there_yet_is_not_sent_again(walk: Walk) -> None:
    walk.shore.finalize = "dropped, done late"
    walk.worker("publish.step")
    for _ in range(3):
        walk.later(6)
        walk.worker("status.look")
        assert walk.state() == State.UNKNOWN
    walk.later(SETTLE_AND_MORE)
    walk.worker("status.look")
    assert (walk.state(), walk.live()) == (State.PUBLISHED, 1)


def test_one_that_died_after_the_call_leaves_a_look(walk: Walk) -> None:
    a = walk.worker("publish.step", "publish.answered")
    with pytest.raises(Died, match=r"publish\.answered"):
        a.go(END)
    walk.later(LEASE_AND_MORE)
    assert walk.state() == State.UNKNOWN
    walk.later(SETTLE_AND_MORE)
    walk.worker("status.look")
    assert (walk.state(), walk.live()) == (State.PUBLISHED, 1)


def test_one_that_prepared_the_old_text_does_not_arm_in_the_name_of_the_new(walk: Walk) -> None:
    a = walk.worker("publish.step", "publish.checkpointed")
    [post] = walk.accepted
    change = Change(given=frozenset({"caption"}), caption="the new text")
    edit(walk.context, walk.core.caller, post, change)
    delay.sweep(walk.context)
    b = walk.worker("publish.step", "publish.claimed")
    assert a.go(NONE)
    assert walk.live() == 0
    assert b.go(NONE)
    assert (walk.state(), walk.live()) == (State.PUBLISHED, 1)


def test_late_proof_settles_what_nobody_could_tell(walk: Walk) -> None:
    a = walk.worker("publish.step", "publish.answered")
    walk.later(LEASE_AND_MORE)
    assert walk.state() == State.UNKNOWN
    assert a.go(NONE)
    assert (walk.state(), walk.live()) == (State.PUBLISHED, 1)


def test_one_that_is_prepared_ahead_of_its_time_is_held_until_then(ground: Ground) -> None:
    walk = Walk(ground, late=120)
    walk.later(70)  # within the lead
    walk.worker("publish.step")
    assert (walk.state(), walk.live()) == (State.SCHEDULED, 0)
    walk.later(60)
    walk.worker("publish.step")
    assert (walk.state(), walk.live()) == (State.PUBLISHED, 1)
