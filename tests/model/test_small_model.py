"""The small model has no violation in any interleaving, and has one without any single safeguard."""

from __future__ import annotations

import pytest

from tests.model.small_model import ANSWERS, Found, Rules, World, search

BROKEN = {
    "no fence": (Rules(fence=False), "live twice"),
    "no arm before the call": (Rules(arm_first=False), "live twice"),
    "no deadline check before the first byte": (Rules(deadline=False), "live twice"),
    "blind retry of an unclear outcome": (Rules(unknown_is_looked_at=False), "live twice"),
    "absence after one look": (Rules(two_looks=False), "live twice"),
    "absence before the settle window is over": (Rules(settle_window=False), "live twice"),
    "arm does not ask for the time": (Rules(due_at_arm=False), "before its time"),
    "an armed delivery may be edited and cancelled": (Rules(armed_is_untouchable=False), "live twice"),
    "an operator says again while it may still appear": (Rules(patient_decide=False), "live twice"),
}


@pytest.fixture(scope="module")
def found() -> Found:
    """The full search with all safeguards on."""
    return search(Rules())


def test_no_interleaving_posts_twice_or_early_or_lies(found: Found) -> None:
    assert not found.wrong, "\n".join(found.trace)
    assert len(found.worlds) > 10_000


def test_from_everywhere_the_system_comes_to_an_end_that_somebody_sees(found: Found) -> None:
    assert not found.stuck, found.stuck[0]


def test_the_search_goes_everywhere(found: Found) -> None:
    states = {w.state for w in found.worlds}
    assert states == {
        "scheduled",
        "queued",
        "publishing",
        "unknown",
        "retrying",
        "blocked",
        "published",
        "failed",
        "cancelled",
    }
    labels = {step[0] for step in found.worlds.values() if step}
    for answer in ANSWERS:
        assert any(answer in label for label in labels), answer
    for did in (
        "rescue takes",
        "dies",
        "late, its proof",
        "deadline passed",
        "proven absent",
        "listing lags",
    ):
        assert any(did in label for label in labels), did
    assert any(w.state == "published" and _both_busy(w) for w in found.worlds)


@pytest.mark.parametrize("name", BROKEN)
def test_the_search_catches(name: str) -> None:
    rules, wrong = BROKEN[name]
    found = search(rules, wrong)
    print(f"\n{name}: {found.wrong or 'nothing found'} (after {len(found.worlds)} worlds)")
    for n, line in enumerate(found.trace, 1):
        print(f"  {n:2} {line}")
    assert found.trace, f"a model with {name} was not caught"
    assert wrong in found.wrong


def _both_busy(w: World) -> bool:
    return all(worker.at != "idle" for worker in w.workers)
