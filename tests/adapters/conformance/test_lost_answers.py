"""A lost answer to the visible call is an unknown outcome, and the README says what becomes of it."""

from __future__ import annotations

import pytest

from adapters.contract import Platform
from tests.adapters.conformance.conftest import READY
from tests.adapters.conformance.environment import Ground
from tests.adapters.conformance.lost import (
    DID_NOT,
    DUPLICATE,
    FOUND,
    READMES,
    WENT_OUT,
    again,
    expected,
    fate,
    told,
)
from tests.adapters.conformance.subjects import Subject
from tests.adapters.conformance.walk import Walk

LATE = 0.6
HASTE = 0.3


@pytest.mark.parametrize("fault", WENT_OUT)
def test_a_post_that_went_out_is_never_sent_again(ground: Ground, subject: Subject, fault: str) -> None:
    end = fate(ground, subject, fault)
    says = expected(subject)[0]
    assert end.live == 1
    assert end.walk.finalized == 1
    if says == DUPLICATE:
        assert again(end.walk) == DUPLICATE
        assert len(ground.live(end.walk.account)) == 1
    else:
        assert end.word == says
    assert not end.walk.leaks()


@pytest.mark.parametrize("fault", DID_NOT)
def test_a_post_that_did_not_go_out_is_proven_absent_or_left_to_a_person(
    ground: Ground, subject: Subject, fault: str
) -> None:
    end = fate(ground, subject, fault)
    assert end.word == expected(subject)[1]
    sent_again = end.walk.finalized == 2
    assert sent_again == (end.live == 1)
    assert not end.walk.leaks()


def test_a_post_of_another_delivery_is_never_taken_for_ours(ground: Ground, subject: Subject) -> None:
    found = fate(ground, subject, WENT_OUT[0])
    if not subject.searched or found.word != FOUND:
        assert not (subject.searched and expected(subject)[0] == FOUND)
        return
    assert found.walk.published is not None
    theirs = found.walk.published.remote_id
    walk = found.walk
    walk.taken = {theirs}
    assert getattr(walk.look(), "remote_id", None) != theirs


BODILESS = [s for s in READY if s.platform is not Platform.YOUTUBE and s.kind != "creator video"]
"""Whose visible call is not the end of an upload: an upload that is broken off has no late effect."""


@pytest.mark.parametrize(
    "subject", {s.platform: s for s in reversed(BODILESS)}.values(), ids=lambda s: s.platform
)
def test_an_effect_that_comes_after_we_gave_up_waiting_is_found(ground: Ground, subject: Subject) -> None:
    ground.fault(subject.stand_in, "finalize", "latency", delay_ms=int(LATE * 1000))
    walk = Walk.of(ground, subject)
    walk.run_prepared()
    walk.hasty = ground.in_seconds(HASTE)
    walk.run(lambda w: bool(w.errors))
    assert ground.live(walk.account) == []
    walk.hasty = None
    ground.until(lambda: len(ground.live(walk.account)) == 1)
    walk.run()
    assert len(ground.live(walk.account)) == 1
    assert walk.finalized == 1


@pytest.mark.parametrize("platform", sorted({s.platform for s in READY}))
def test_the_readme_has_a_row_for_every_post_kind_and_no_other(platform: str) -> None:
    rows = {path: set(told(path)) for name, path in READMES.items() if name == platform}
    assert set().union(*rows.values()) == {s.kind for s in READY if s.platform == platform}
