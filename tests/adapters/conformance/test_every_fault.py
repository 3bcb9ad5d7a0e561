"""Every fault at every step of every post kind: one post or a definite no, never two, never a secret."""

from __future__ import annotations

import pytest

from adapters.errors import Permanent
from pipeline.domain.delivery import Reason, State
from tests.adapters.conformance.environment import Ground
from tests.adapters.conformance.faults import MATTER, MOREOVER, OF_MEDIA, can_strike, steps_of
from tests.adapters.conformance.lost import LOST, WENT_OUT, expected
from tests.adapters.conformance.subjects import Subject
from tests.adapters.conformance.walk import Walk

DEFINITE = {"fail-processing", "spam-block"}
"""Faults that are a platform's last word."""


@pytest.mark.parametrize("fault", MATTER)
def test_a_fault_costs_no_post_and_makes_no_second_one(ground: Ground, subject: Subject, fault: str) -> None:
    steps = steps_of(ground, subject)
    assert {"finalize"} <= set(steps)
    if not can_strike(ground, subject, fault):
        return
    for step in steps:
        if step == "media" and fault not in OF_MEDIA:
            continue
        ground.calm()
        ground.fault(subject.stand_in, step, fault, 1, **MOREOVER.get(fault, {}))
        _judge(Walk.of(ground, subject).run(), step, fault)


@pytest.mark.parametrize("fault", ["429", "5xx", "drop", "token-expired"])
def test_a_look_that_fails_after_a_lost_answer_costs_nothing_either(
    ground: Ground, subject: Subject, fault: str
) -> None:
    ground.fault(subject.stand_in, "finalize", WENT_OUT[0])
    for step in ("look", "read", "upload"):
        ground.fault(subject.stand_in, step, fault, 1)
    walk = Walk.of(ground, subject).run()
    _judge(walk, "finalize, then look", WENT_OUT[0])
    assert walk.finalized == 1
    assert len(ground.live(walk.account)) == 1


def _judge(walk: Walk, step: str, fault: str) -> None:
    live, about = len(walk.ground.live(walk.account)), f"{step}, {fault}: {walk.state}, {walk.errors}"
    assert live <= 1, about
    if walk.state is State.PUBLISHED:
        assert live == 1, about
    elif walk.state is State.FAILED:
        assert live == 0, about
        assert fault in DEFINITE or step == "media", about
        assert walk.seen or any(isinstance(error, Permanent) for error in walk.errors), about
    else:
        assert (walk.state, walk.reason) == (State.BLOCKED, Reason.IS_IT_LIVE), about
        assert fault in LOST, about
        assert expected(walk.subject)[live == 0].startswith("left to a person"), about
    assert not walk.leaks(), about
