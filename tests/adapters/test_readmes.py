"""Adapters that were never tried live say so in their docstring; their README lists what is uncertain and reviews."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from adapters.contract import Platform
from adapters.facebook import oauth as facebook
from adapters.instagram import oauth as instagram
from adapters.linkedin import oauth as linkedin
from adapters.pinterest import oauth as pinterest
from adapters.registry import ADAPTERS as ADAPTER_CLASSES
from adapters.tiktok import oauth as tiktok
from adapters.youtube import oauth as youtube

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


def read_section(platform: Platform, title: str) -> str:
    readme = (ADAPTERS / platform / "README.md").read_text(encoding="utf-8")
    return readme.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("platform", Platform)
def test_the_readme_lists_it(platform: Platform) -> None:
    section = read_section(platform, "Never tried live")
    assert "Nothing here was run against" in section
    assert len([line for line in section.splitlines() if line.startswith(("* ", "- "))]) >= 3


@pytest.mark.parametrize("platform", Platform)
def test_what_live_check_cannot_tell_is_in_the_readme(platform: Platform) -> None:
    section = " ".join(read_section(platform, "Never tried live").split())
    questions = {q for checks in ADAPTER_CLASSES[platform].live_checks for q in checks.only_live_post}
    assert len(questions) >= 3
    assert [question for question in questions if question not in section] == []


SCOPES: dict[Platform, tuple[str, ...]] = {
    Platform.TIKTOK: (*tiktok.CREATOR_SCOPES, *tiktok.BUSINESS_SCOPES),
    Platform.INSTAGRAM: (*instagram.INSTAGRAM_SCOPES, *instagram.FACEBOOK_SCOPES),
    Platform.FACEBOOK: facebook.SCOPES,
    Platform.YOUTUBE: youtube.SCOPES,
    Platform.PINTEREST: pinterest.SCOPES,
    Platform.LINKEDIN: tuple(scope for scopes in linkedin.SCOPES.values() for scope in scopes),
}


@pytest.mark.parametrize("platform", Platform)
def test_the_app_review_names_each_scope_that_is_requested_and_what_a_reviewer_wants(
    platform: Platform,
) -> None:
    section = read_section(platform, "App review")
    names = {f"`{scope.rpartition('/')[2]}`" for scope in SCOPES[platform]}
    assert sorted(name for name in names if name not in section) == []
    for phrase in ("| apply for |", "| permissions |", "reviewer wants to see"):
        assert phrase in section, phrase
    checked = {s for checks in ADAPTER_CLASSES[platform].live_checks for s in checks.required_scopes}
    assert checked <= set(SCOPES[platform]), "what live-check requires is requested"
