"""The size of the project: what is counted, and that nothing passes its ceiling."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest

from tests.size import CEILINGS, ROOT, count_code_lines


@pytest.fixture(scope="module")
def printed() -> Mapping[str, Any]:
    """What `make size ARGS=--json` prints; it exits with 1 above a ceiling."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.size", "--json"], cwd=ROOT, capture_output=True, check=False
    )
    found: Mapping[str, Any] = json.loads(run.stdout)
    assert run.returncode == any(found["total"][name] > CEILINGS[name] for name in CEILINGS)
    return found


@pytest.mark.parametrize("name", CEILINGS)
def test_nothing_passes_its_ceiling(printed: Mapping[str, Any], name: str) -> None:
    assert printed["total"][name] <= CEILINGS[name], "see `make size`; make something smaller"


def test_blanks_comments_and_docstrings_are_no_code() -> None:
    source = b'''"""Module."""

# Comment.
LIMIT = 3  # of tries
"""Of a constant."""


class One:
    """Of a class,
    in two lines."""

    name: str = """text
    in a statement"""

    def call(self) -> None:
        """Of a function."""
        print(
            self.name,
        )
'''
    assert count_code_lines(source) == 8


def test_every_folder_is_counted_with_those_in_it(printed: Mapping[str, Any]) -> None:
    folders = {one["folder"]: one for one in printed["folders"]}
    assert {"pipeline", "pipeline/store", "adapters/sandbox", "config", "tests", "."} <= set(folders)
    assert folders["pipeline"]["files"] > folders["pipeline/store"]["files"] > 0
    assert folders["adapters"]["code"] > folders["adapters/sandbox"]["code"] > 0
    assert printed["total"]["Markdown words"] > folders["pipeline"]["words"] > 0
