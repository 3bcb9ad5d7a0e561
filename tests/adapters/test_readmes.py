"""Adapters that were never tried live say so in their docstring, and their README lists what is uncertain."""

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
    docstring = " ".join((import_module(name).__doc__ or "").split())
    assert "ever tried against" in docstring
    assert "README.md" in docstring


@pytest.mark.parametrize("platform", Platform)
def test_the_readme_lists_it(platform: Platform) -> None:
    readme = (ADAPTERS / platform / "README.md").read_text(encoding="utf-8")
    section = readme.partition("\n## Never tried live\n")[2].partition("\n## ")[0]
    assert "Nothing here was run against" in section
    assert len([line for line in section.splitlines() if line.startswith(("* ", "- "))]) >= 3
