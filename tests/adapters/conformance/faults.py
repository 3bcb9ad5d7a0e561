"""Which of the sandbox's faults can meet a subject, and at which of its steps: found out by runs, not by a table."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from adapters.sandbox.faults import FAULTS, STEPS, WITHIN
from tests.adapters.conformance.environment import Ground
from tests.adapters.conformance.subjects import Subject
from tests.adapters.conformance.walk import Walk

MANY = 1000
SOMEBODY_ELSES = {"refresh", "oauth", "consent", "cancel", "any", "status"}
"""Steps that are no step of a publish, or another word for one."""
MUSIC_ONLY = {"oembed-no-anchor", "oembed-gone"}
RARE = {*WITHIN, "spam-block", "quota-exhausted"}
MOREOVER: Mapping[str, Mapping[str, Any]] = {
    "late-visibility": {"delay_ms": 5000},
    "latency": {"delay_ms": 10},
    "fail-processing": {"reason": "internal"},
}
OF_MEDIA = ("429", "drop")
"""Everything else is a 503 of the media host, which the fetcher over there cannot tell from a 429."""
MATTER = tuple(fault for fault in FAULTS if fault not in MUSIC_ONLY)


def steps_of(ground: Ground, subject: Subject) -> tuple[str, ...]:
    """The sandbox's names of the steps that this subject's publish and a search for it come by."""
    return _steps_of(_Key(ground, subject))


class _Key:
    """Hashable by the subject's name alone."""

    def __init__(self, ground: Ground, subject: Subject) -> None:
        self.ground, self.subject = ground, subject

    def __hash__(self) -> int:
        return hash(self.subject.name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self.subject.name == other.subject.name


@cache
def _steps_of(key: _Key) -> tuple[str, ...]:
    ground, subject = key.ground, key.subject
    ground.calm()
    asked = {
        step: ground.fault(subject.stand_in, step, "latency", MANY, delay_ms=0)
        for step in STEPS
        if step not in SOMEBODY_ELSES
    }
    Walk.of(ground, subject).run()
    touched = {step for step, fault in asked.items() if ground.spent(fault)}
    ground.calm()
    return tuple(step for step in STEPS if step in touched)


def can_strike(ground: Ground, subject: Subject, fault: str) -> bool:
    """Whether the fault strikes anywhere on the way of such a post; some are one platform's alone."""
    return fault not in RARE or _can_strike(_Key(ground, subject), fault)


@cache
def _can_strike(key: _Key, fault: str) -> bool:
    ground, subject = key.ground, key.subject
    ground.calm()
    ordered = ground.fault(subject.stand_in, "any", fault, MANY, **MOREOVER.get(fault, {}))
    walk = Walk.of(ground, subject)
    walk.run(lambda w: bool(w.looks or w.errors))  # a walk on its own clears faults only later than that
    struck = ground.spent(ordered) > 0
    ground.calm()
    return struck
