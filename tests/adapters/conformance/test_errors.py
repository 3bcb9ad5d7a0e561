"""What platforms say to the visible call: known codes have their class, everything else is an unknown outcome."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from adapters.contract import Platform
from adapters.errors import AdapterError, OutcomeUnknown
from tests.adapters.conformance.answering import Answering, Said, answering, told
from tests.adapters.conformance.codes import BY_HAND, EVERY_ROW, NONSENSE, UNLISTED
from tests.adapters.conformance.conftest import READY
from tests.adapters.conformance.environment import Ground
from tests.adapters.conformance.subjects import Subject
from tests.adapters.conformance.walk import Walk

BY_NAME = {s.name: s for s in READY}
DONE_TWICE = {("tiktok creator video", 201)}
"""201 is this upload's own yes, whatever its body."""


@pytest.fixture(scope="module")
def server() -> Iterator[Answering]:
    with answering() as found:
        yield found


def _prepared(ground: Ground, subject: Subject) -> Walk:
    walk = Walk.of(ground, subject)
    walk.run_prepared()
    return walk


def _error(walk: Walk, server: Answering, said: Said) -> AdapterError:
    with pytest.raises(AdapterError) as caught:
        told(walk, server, said)
    shown = f"{caught.value} {caught.value!r}"
    walk.told.append(shown)
    assert not walk.leaks()
    return caught.value


@pytest.mark.parametrize("name", EVERY_ROW)
def test_every_known_code_has_its_class(ground: Ground, server: Answering, name: str) -> None:
    walk = _prepared(ground, BY_NAME[name])
    wrong = [
        (code, error, wanted)
        for code, said, wanted in EVERY_ROW[name]()
        if type(error := _error(walk, server, said)) is not wanted
    ]
    assert not wrong


@pytest.mark.parametrize("name", BY_HAND)
def test_the_tables_say_what_the_vendors_pages_say(ground: Ground, server: Answering, name: str) -> None:
    walk = _prepared(ground, BY_NAME[name])
    wrong = [
        (s, error, wanted)
        for s, wanted in BY_HAND[name]
        if type(error := _error(walk, server, s)) is not wanted
    ]
    assert not wrong


@pytest.mark.parametrize("name", UNLISTED)
def test_an_unlisted_code_after_the_visible_call_is_an_unknown_outcome(
    ground: Ground, server: Answering, name: str
) -> None:
    assert type(_error(_prepared(ground, BY_NAME[name]), server, UNLISTED[name])) is OutcomeUnknown


def test_nonsense_after_the_visible_call_is_an_unknown_outcome(
    ground: Ground, server: Answering, subject: Subject
) -> None:
    walk = _prepared(ground, subject)
    for said in NONSENSE:
        if (subject.name.partition(",")[0], said.status) not in DONE_TWICE:
            assert type(_error(walk, server, said)) is OutcomeUnknown, said


def test_every_platform_is_asked() -> None:
    assert {BY_NAME[name].platform for name in EVERY_ROW} == {s.platform for s in READY} == set(Platform)
    assert set(UNLISTED) >= {n for n in EVERY_ROW if BY_NAME[n].platform is not Platform.PINTEREST} - {
        "tiktok creator video"
    }
