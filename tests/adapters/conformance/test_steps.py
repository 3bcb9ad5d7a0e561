"""The contract's SHALLs, one by one: steps, deaths between them, looks that change nothing, no visible call twice."""

from __future__ import annotations

from collections.abc import Container
from datetime import UTC, datetime
from itertools import count

import pytest

from adapters.contract import (
    Absent,
    Account,
    Adapter,
    CheckpointData,
    Draft,
    FinalizeResult,
    LookResult,
    Platform,
    Ready,
)
from adapters.http import HttpClient
from adapters.pinterest import Pinterest
from adapters.registry import ADAPTERS
from adapters.sandbox.platforms import PLATFORMS
from pipeline.domain.delivery import State
from tests.adapters.conformance.conftest import READY
from tests.adapters.conformance.environment import Ground
from tests.adapters.conformance.lost import WENT_OUT, expected
from tests.adapters.conformance.subjects import EVERY, Subject
from tests.adapters.conformance.walk import Broken, Walk

SEEN_BY_READS = {"token", "fault", "window", "day"}
"""Records of the sandbox that a mere read may change: a token's first use, counts of requests."""


def test_a_platform_joins_the_suite_by_an_adapter_and_a_stand_in() -> None:
    both = {p for p in ADAPTERS if any(name.partition("_")[0] == p for name in PLATFORMS)}
    assert {s.platform for s in READY} == both
    assert {s.platform for s in EVERY} == set(Platform)


def test_one_changing_request_makes_one_post(ground: Ground, subject: Subject) -> None:
    walk = Walk.of(ground, subject).run()  # each of its steps asserts what it may ask for
    assert isinstance(walk.worker()[0], Adapter)
    assert (walk.state, walk.finalized, walk.errors) == (State.PUBLISHED, 1, [])
    [line] = ground.live(walk.account)
    assert walk.published is not None
    assert not walk.leaks()
    assert line["caption"] in walk.draft.caption or walk.draft.caption[:80] in line["caption"]


def test_a_worker_that_dies_after_any_step_leaves_it_to_another(ground: Ground, subject: Subject) -> None:
    """The step was made, its checkpoint was never stored: the next worker makes it again."""
    for dies_at in count():
        walk = Walk.of(ground, subject)
        steps = 0
        while not isinstance(result := walk.prepare(), Ready):
            if steps != dies_at:
                walk.checkpoint = result.checkpoint
            steps += 1
        walk.checkpoint = result.checkpoint
        walk.run()
        assert (walk.state, walk.finalized) == (State.PUBLISHED, 1), walk.errors
        assert len(ground.live(walk.account)) == 1
        if dies_at >= steps:
            return


def test_a_worker_that_dies_in_the_visible_call_leaves_an_unknown_outcome(
    ground: Ground, subject: Subject
) -> None:
    walk = Walk.of(ground, subject)
    walk.run_prepared()
    walk.arm()
    walk.finalize()  # what it answered died with its worker
    walk.state = State.UNKNOWN
    walk.run()
    assert len(ground.live(walk.account)) == 1
    assert walk.finalized == 1
    wanted = State.PUBLISHED if expected(subject)[0] == "found by look" else State.BLOCKED
    assert walk.state is wanted


def test_a_worker_that_dies_right_before_the_visible_call_makes_no_second_post(
    ground: Ground, subject: Subject
) -> None:
    walk = Walk.of(ground, subject)
    walk.run_prepared()
    walk.arm()
    walk.state = State.UNKNOWN
    walk.run()
    again = expected(subject)[1] == "proven absent, sent again"
    assert walk.state is (State.PUBLISHED if again else State.BLOCKED)
    assert len(ground.live(walk.account)) == walk.finalized == int(again)


def test_a_worker_whose_time_ran_out_sends_nothing(ground: Ground, subject: Subject) -> None:
    walk = Walk.of(ground, subject)
    walk.run_prepared()
    client = HttpClient(may_send=lambda: False)
    adapter = ground.adapters[subject.platform](client, ground.settings(subject))
    walk.arm()
    with pytest.raises(Exception, match=r".") as caught:
        adapter.finalize(walk.draft, walk.account, walk.stored)
    assert type(caught.value).__name__ == "Unavailable"  # nothing left: proof, not doubt
    assert ground.live(walk.account) == []
    assert walk.run().state is State.PUBLISHED or walk.state is State.BLOCKED
    assert len(ground.live(walk.account)) <= 1


class Twice(Pinterest):
    """Makes its visible call again, to be sure."""

    def finalize(self, draft: Draft, account: Account, checkpoint: CheckpointData) -> FinalizeResult:
        super().finalize(draft, account, checkpoint)
        return super().finalize(draft, account, checkpoint)


class Curious(Pinterest):
    """Looks at its pin right after it was made."""

    def finalize(self, draft: Draft, account: Account, checkpoint: CheckpointData) -> FinalizeResult:
        made = super().finalize(draft, account, checkpoint)
        self.look(draft, account, checkpoint, datetime.now(UTC), ())
        return made


class Rash(Pinterest):
    """Takes every lost answer for a lost post."""

    def look(
        self,
        draft: Draft,
        account: Account,
        checkpoint: CheckpointData,
        armed_at: datetime | None,
        taken: Container[str],
    ) -> LookResult:
        seen = super().look(draft, account, checkpoint, armed_at, taken)
        return seen if armed_at is None else Absent(checkpoint=checkpoint)


@pytest.mark.parametrize("broken", [Twice, Curious, Rash])
def test_the_suite_notices_an_adapter_that_breaks_the_contract(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, broken: type[Pinterest]
) -> None:
    monkeypatch.setattr(ground, "adapters", {**ADAPTERS, Platform.PINTEREST: broken})
    subject = next(s for s in READY if s.name == "pinterest image, with a link")
    ground.fault("pinterest", "finalize", WENT_OUT[0] if broken is Rash else "latency", delay_ms=0)
    walk = Walk.of(ground, subject)
    if broken is Rash:
        assert len(ground.live(walk.run().account)) == 2
    else:
        with pytest.raises(Broken):
            walk.run()


def test_looks_change_nothing(ground: Ground, subject: Subject) -> None:
    """At every point of a post's way, before and after arming, found and lost."""
    walk = Walk.of(ground, subject)
    _looks_only(walk)
    while not isinstance(result := walk.prepare(), Ready):
        walk.checkpoint = result.checkpoint
        _looks_only(walk)
    walk.checkpoint = result.checkpoint
    _looks_only(walk)
    walk.armed_at = datetime.now(UTC)
    _looks_only(walk)
    ground.fault(subject.stand_in, "finalize", WENT_OUT[0])
    with pytest.raises(Exception, match=r"."):
        walk.finalize()
    _looks_only(walk)
    assert len(ground.live(walk.account)) == 1


def _looks_only(walk: Walk) -> None:
    walk.ground.changes()
    before = walk.ground.live(walk.account)
    walk.look()
    walk.look()
    assert {kind for kind, _ in walk.ground.changes()} <= SEEN_BY_READS
    assert walk.ground.live(walk.account) == before
