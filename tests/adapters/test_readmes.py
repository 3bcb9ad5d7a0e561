"""What was never tried against the live platforms is said where a reader meets the code, and listed in its README."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from adapters.contract import Platform

ADAPTERS = Path(__file__).parents[2] / "adapters"
MODULES = [f"adapters.{platform}.adapter" for platform in Platform] + [
    "adapters.tiktok.creator",
    "adapters.tiktok.business",
]


@pytest.mark.parametrize("name", MODULES)
def test_the_docstring_says_it_and_points_at_the_list(name: str) -> None:
    told = " ".join((import_module(name).__doc__ or "").split())
    assert "ever tried against" in told
    assert "README.md" in told


@pytest.mark.parametrize("platform", Platform)
def test_the_readme_lists_it(platform: Platform) -> None:
    readme = (ADAPTERS / platform / "README.md").read_text(encoding="utf-8")
    section = readme.partition("\n## Never tried live\n")[2].partition("\n## ")[0]
    assert "Nothing here was run against" in section
    assert len([line for line in section.splitlines() if line.startswith(("* ", "- "))]) >= 3
