"""A failpoint at which nothing dies in the flow tests fails the suite."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.flow import test_failpoints, test_failpoints_beside
from tests.model.points import failpoints

TESTS = Path(__file__).parents[1]


def test_every_failpoint_has_a_death() -> None:
    names = failpoints()
    assert len(names) > 15
    here = test_failpoints.HERE | test_failpoints_beside.HERE
    named = {
        word
        for path in TESTS.rglob("test_*.py")
        if "FAILPOINTS" in path.read_text()
        for word in _words_of(path)
    }
    without = {name: places for name, places in names.items() if name not in here | named}
    assert not without, f"nothing dies at {without}"
    assert names.keys() >= here, f"no longer in the source: {here - names.keys()}"


def _words_of(path: Path) -> frozenset[str]:
    """The strings written out in a file."""
    return frozenset(
        node.value
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
