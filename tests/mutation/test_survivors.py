from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutation.nearest import distance
from tests.mutation.survivors import LIST, UNTRIED, Listed, Mutant, list_entries, unexplained


def mutant(old: str, new: str, status: str = "survived") -> Mutant:
    return Mutant(name="n", where="stages.publish.f", status=status, old=old, new=new)


@pytest.mark.parametrize(
    ("old", "new", "means"),
    [
        ("a = zip(x, y, strict=True)", "a = zip(x, y, strict=False)", True),
        ("a = zip(x, y, strict=True)", "a = zip(x, y, )", True),
        ("a = zip(x, y, strict=True)", "b = zip(x, y, strict=True)", False),
        ("a = list(x)", "a = zip(x, y)", False),
    ],
)
def test_an_entry_means_only_what_changes_the_part_it_names(old: str, new: str, *, means: bool) -> None:
    entry = Listed(where="stages.publish.f", change="zip(x, y, strict=True) → zip(x, y")
    assert entry.names(mutant(old, new)) is means
    assert not Listed(where="stages.publish.g", change=entry.change).names(mutant(old, new))


@pytest.mark.parametrize(
    ("old", "new", "wording"),
    [
        ('say("It is late.")', 'say("it is late.")', True),
        ('say("It is late.")', 'say("XXIt is late.XX")', True),
        ('code="late"', 'code="LATE"', False),
        ('say("It is late.")', "say(None)", False),
    ],
)
def test_only_the_letters_of_sentences_need_no_entry(old: str, new: str, *, wording: bool) -> None:
    assert mutant(old, new).only_wording is wording


@pytest.mark.parametrize(
    ("mutant", "far"),
    [
        ("pipeline.store.deliveries.settle.x_settle_several__mutmut_12", [0, 1, 2]),
        ("pipeline.store.deliveries.move.x__settled__mutmut_12", [1, 1, 2]),
        ("pipeline.stages.publish.xǁPublishSliceǁ_judge_error__mutmut_3", [2, 2, 0]),
        ("pipeline.store.deliveries.settle._SETTLE__sql_12", [0, 1, 2]),
        ("pipeline.store.deliveries.lease.settle_lost#2__sql_1", [0, 1, 2]),
        ("fail", [None, None, None]),
    ],
)
def test_who_tries_a_mutant_asks_first_who_can_tell_soonest(mutant: str, far: list[int | None]) -> None:
    tests = ("store/deliveries/test_settle.py", "store/deliveries/test_arm.py", "stages/test_publish.py")
    assert [distance(Path("tests/pipeline", test), mutant) for test in tests] == far


def test_what_nobody_noticed_or_tried_lives() -> None:
    said = ("survived", "no tests", "not checked", "suspicious", "killed", "timeout", "caught by type check")
    assert [mutant("a", "b", status).alive for status in said] == [True] * 4 + [False] * 3


def test_what_nobody_tried_is_explained_by_nothing() -> None:
    entry = Listed(where="stages.publish.f", change="a → b")
    some = [mutant("a", "b"), mutant("a", "c"), mutant('"it is"', '"It is"'), mutant("a", "b", UNTRIED)]
    assert unexplained(some, [entry]) == [some[1], some[3]]


def test_every_entry_of_the_list_names_a_line_that_is_there() -> None:
    entries = list_entries()
    assert len(entries) > 10
    for entry in entries:
        module = next(p for p in _modules(entry.where) if p.exists())
        assert entry.change.partition(" → ")[0] in " ".join(module.read_text().split()), (LIST, entry)


def _modules(where: str) -> list[Path]:
    parts = where.split(".")
    return [Path("pipeline", *parts[:n]).with_suffix(".py") for n in range(1, len(parts))]
