"""Collect the failpoints from the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "pipeline"


@lru_cache(maxsize=1)
def failpoints() -> dict[str, list[str]]:
    """Return failpoint -> its places as FILE:LINE. The name must be a literal."""
    found: dict[str, list[str]] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        for name, line in _calls(path):
            found.setdefault(name, []).append(f"{path.relative_to(SOURCE.parent)}:{line}")
    return found


def _calls(path: Path) -> Iterator[tuple[str, int]]:
    source = path.read_text()
    for node in ast.walk(ast.parse(source)) if "failpoint(" in source else ():
        if (
            isinstance(node, ast.Call)
            and getattr(node.func, "id", getattr(node.func, "attr", "")) == "failpoint"
        ):
            name = node.args[0] if node.args else None
            assert isinstance(name, ast.Constant), (
                f"{path}:{node.lineno}: the name of a failpoint must be a literal"
            )
            yield str(name.value), node.lineno
