"""A failpoint at which nothing dies in the flow tests fails the suite."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.flow import test_failpoints, test_killed_workers
from tests.model.points import failpoints


def test_every_failpoint_has_a_death() -> None:
    names = failpoints()
    assert len(names) > 15
    elsewhere = _words_of(Path(test_killed_workers.__file__))
    without = {
        name: places
        for name, places in names.items()
        if name not in test_failpoints.HERE and name not in elsewhere
    }
    assert not without, f"nothing dies at {without}"
    assert names.keys() >= test_failpoints.HERE, (
        f"no longer in the source: {test_failpoints.HERE - names.keys()}"
    )


def _words_of(path: Path) -> frozenset[str]:
    """The strings written out in a file."""
    return frozenset(
        node.value
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
