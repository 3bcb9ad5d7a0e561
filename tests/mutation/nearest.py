"""A pytest plugin: run the tests of a mutant's own file first, then those of its folder, since they fail soonest."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

_MUTANT = re.compile(
    r"pipeline\.([\w.]+)\.(\w+)\.(?:(?:x_|xǁ\w+ǁ)_*(\w+?)__mutmut|_*(\w+)(?:#\d+)?__sql)_\d+"
)
"""Folder, module and function as mutmut names them: ``pipeline.stages.publish.xǁPublishSliceǁ_prepare__mutmut_3``; or
module and statement: ``pipeline.store.deliveries.lease._HELD__sql_1``."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort by distance; the sort is stable, so files stay together."""
    mutant = os.environ.get("MUTANT_UNDER_TEST", "")
    items.sort(key=lambda item: distance(item.path, mutant) or 0)


def distance(test: Path, mutant: str) -> int | None:
    """Return 0 for a test file of the mutant's name, 1 for one in its folder, 2 for others, None without a mutant."""
    if (found := _MUTANT.fullmatch(mutant)) is None:
        return None
    folder, *names = (part for part in found.groups() if part is not None)
    if not test.parent.as_posix().endswith(f"pipeline/{folder.replace('.', '/')}"):
        return 2
    return int(not set("_".join(names).lower().split("_")) & set(test.stem.split("_")))
