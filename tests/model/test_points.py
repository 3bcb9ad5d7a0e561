"""Compare the failpoints in the source with the crash tables.

Every failpoint must be in a row of ``tests/crash_table.py``, whose test fails unless a process crashes there; those
between acceptance and publication also in ``tests/proof/points.py``, which repeats the crash on every platform.
"""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

from adapters.contract import Platform
from adapters.registry import ADAPTERS
from adapters.sandbox.server import PLATFORMS
from tests.chaos.plan import CRASH_POINTS
from tests.crash_table import CRASHES, ROOT, arm_failpoints
from tests.model.points import failpoints
from tests.proof import points as proof
from tests.proof.targets import PRODUCTS, TARGETS

TESTS = ROOT / "tests"


def test_every_failpoint_has_a_death_and_every_death_a_failpoint() -> None:
    assert {point for row in CRASHES.values() for point in row} == failpoints().keys()
    assert CRASH_POINTS.keys() <= failpoints().keys()


@pytest.mark.parametrize("test", CRASHES)
def test_every_row_is_a_test_that_takes_its_points_from_it(test: str) -> None:
    path, _, name = test.partition("::")
    arguments = _tests_in(ROOT / path)[name.partition("[")[0]]
    assert "crashes" in arguments, "only the fixture fails a test whose process does not crash"


def test_every_failpoint_on_a_posts_way_is_proven_on_every_platform_once() -> None:
    proven = Counter(point for row in proof.PROVEN.values() for point in row)
    on_the_way = {point for point in failpoints() if point.startswith(proof.STAGE_PREFIXES)}
    assert proven.keys() == on_the_way - proof.ELSEWHERE.keys()
    assert proof.ELSEWHERE.keys() <= on_the_way
    assert proven.most_common(1)[0][1] == 1


def test_every_row_of_the_proof_is_a_test_that_has_a_fleet() -> None:
    tests = {name: a for path in (TESTS / "proof").glob("test_*.py") for name, a in _tests_in(path).items()}
    of_comments = {name for name, arguments in tests.items() if "comments" in arguments}
    assert of_comments, "their crashes are checked in each test"
    assert tests.keys() - of_comments == proof.PROVEN.keys()
    assert all("scenario" in tests[name] for name in proof.PROVEN)


def test_the_proof_goes_to_every_platform_and_product() -> None:
    assert {product.platform for product in PRODUCTS.values()} == PLATFORMS.keys()
    assert {Platform(name.partition("_")[0]) for name in PLATFORMS} == ADAPTERS.keys()
    assert {"linkedin member", "linkedin organization"} < PRODUCTS.keys(), "one platform, two protocols"


def test_what_is_not_so_everywhere_is_said_of_ways_that_there_are() -> None:
    proven = {point for row in proof.PROVEN.values() for point in row}
    for point, targets in proof.NEVER_REACHED.items():
        assert point in proven
        assert targets.keys() < TARGETS.keys(), f"{point} is proven nowhere, or names an unknown target"
        assert all(targets.values()), f"{point}: a reason is missing"


def test_nobody_arms_a_failpoint_by_hand() -> None:
    spelt = {
        path.relative_to(TESTS).as_posix() for path in TESTS.rglob("*.py") if _spells(path, "FAILPOINTS")
    }
    assert spelt == {"crash_table.py", "model/test_points.py"}, (
        "the fixture `crashes` arms the rows of CRASHES"
    )


def test_a_death_at_no_failpoint_fails_before_anything_starts() -> None:
    with pytest.raises(AssertionError, match=r"publish\.imagined"):
        arm_failpoints({"publish.armed": Path("once"), "publish.imagined[id]": Path("twice")})


def _tests_in(path: Path) -> dict[str, list[str]]:
    """Return the test functions of a module -> their parameters."""
    found = ast.parse(path.read_text()).body
    return {
        node.name: [a.arg for a in node.args.args]
        for node in found
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def _spells(path: Path, word: str) -> bool:
    """Return whether *word* occurs in the code as a name, a keyword or a whole string."""
    return word in path.read_text() and any(
        word in (getattr(node, "arg", None), getattr(node, "value", None), getattr(node, "id", None))
        for node in ast.walk(ast.parse(path.read_text()))
    )
