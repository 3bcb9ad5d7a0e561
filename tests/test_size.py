"""The size of the project: what is counted, and that nothing passes its ceiling."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.size import CEILINGS, ROOT, count_code_lines, measure_size, total


@pytest.mark.parametrize("name", CEILINGS)
def test_nothing_passes_its_ceiling(name: str) -> None:
    assert total(measure_size())[name] <= CEILINGS[name], "see `make size`; make something smaller"


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


def test_the_command_prints_every_figure() -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "tests.size", "--json"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    found = json.loads(printed.stdout)
    assert found["total"] == dict(total(measure_size()))
    assert {"pipeline", "pipeline/store", "adapters/sandbox", "config", "tests", "."} <= {
        one["folder"] for one in found["folders"]
    }
