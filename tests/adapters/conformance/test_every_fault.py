"""Every fault at every step of every post kind: one post or a definite no, never two, never a secret."""

from __future__ import annotations

import pytest

from adapters.errors import Permanent
from pipeline.domain.delivery import Reason, State
from tests.adapters.conformance.faults import MATTER, OF_MEDIA, steps_of
from tests.adapters.conformance.ground import Ground
from tests.adapters.conformance.lost import LOST, expected
from tests.adapters.conformance.subjects import Subject
from tests.adapters.conformance.walk import Walk

MOREOVER = {"late-visibility": {"delay_ms": 5000}, "latency": {"delay_ms": 10}, "fail-processing": {"reason": "internal"}}
DEFINITE = {"fail-processing", "spam-block"}
"""Faults that are a platform's last word."""


@pytest.mark.parametrize("fault", MATTER)
def test_a_fault_costs_no_post_and_makes_no_second_one(ground: Ground, subject: Subject, fault: str) -> None:
    if not _can_strike(ground, subject, fault):
        return
    for step in steps_of(ground, subject):
        if step == "media" and fault not in OF_MEDIA:
            continue
        ground.calm()
        ground.fault(subject.stand_in, step, fault, 1, **MOREOVER.get(fault, {}))
        _judge(Walk.of(ground, subject).run(), step, fault)


def _can_strike(ground: Ground, subject: Subject, fault: str) -> bool:
    """Whether it strikes anywhere on the way of this post; that run is judged, too."""
    strikes = {}
    for step in ("any", "media"):
        key = ground.fault(subject.stand_in, step, fault, 1, **MOREOVER.get(fault, {}))
        strikes[key] = step
    walk = Walk.of(ground, subject)
    walk.run(lambda w: w.looks > 1 or w.spent > 0)
    struck = any(ground.spent(key) for key in strikes if _is_there(ground, key)) or walk.spent or walk.errors
    ground.calm()
    _judge(walk.run(), "any", fault)
    return bool(struck)


def _is_there(ground: Ground, key: str) -> bool:
    return any(f["id"] == key for f in ground.control("GET", "faults"))


def _judge(walk: Walk, step: str, fault: str) -> None:
    live, about = len(walk.ground.live(walk.account)), f"{step}, {fault}: {walk.state}, {walk.errors}"
    assert live <= 1, about
    if walk.state is State.PUBLISHED:
        assert live == 1, about
    elif walk.state is State.FAILED:
        assert live == 0, about
        assert fault in DEFINITE or step in ("media", "any"), about
        assert any(isinstance(error, Permanent) for error in walk.errors) or walk.seen, about
    else:
        assert (walk.state, walk.reason) == (State.BLOCKED, Reason.IS_IT_LIVE), about
        assert fault in LOST, about
        assert expected(walk.subject)[live == 0].startswith("left to a person"), about
    assert not walk.leaks(), about
