"""Every failpoint there is, read from the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "pipeline"


@lru_cache(maxsize=1)
def failpoints() -> dict[str, list[str]]:
    """Name -> the places, as file and line, that it names; a name that is not written out is an error."""
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
            assert isinstance(name, ast.Constant), f"{path}:{node.lineno}: a failpoint's name is written out"
            yield str(name.value), node.lineno
