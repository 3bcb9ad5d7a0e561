"""A pytest plugin: of a mutant's tests those of its own file come first, then its folder's: they tell soonest."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

_MUTANT = re.compile(r"pipeline\.(\w+)\.(\w+)\.(?:x_|xǁ\w+ǁ)_*(\w+?)__mutmut_\d+")
"""Folder, module and function, as mutmut names them: ``pipeline.stages.publish.xǁSliceǁ_of_error__mutmut_3``."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Who sorts before has put them by file; so they stay."""
    mutant = os.environ.get("MUTANT_UNDER_TEST", "")
    items.sort(key=lambda item: distance(item.path, mutant) or 0)


def distance(test: Path, mutant: str) -> int | None:
    """From a test's file to a mutant: 0 in a file of its name, 1 in its folder, 2 elsewhere; None: it is none."""
    if (found := _MUTANT.fullmatch(mutant)) is None:
        return None
    folder, *names = found.groups()
    if test.parent.name != folder:
        return 2
    return int(not set("_".join(names).split("_")) & set(test.stem.split("_")))
