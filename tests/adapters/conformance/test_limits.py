"""Over each limit of limits.py: a problem that names limit and found value, and not one request."""

from __future__ import annotations

import pytest

from adapters.contract import Platform, Problem
from adapters.http import HttpClient
from adapters.registry import ADAPTERS
from config.settings import Settings
from pipeline.wiring import build_platform_settings
from tests.adapters.conformance.over import EVERY, MODULES, NOT_OF_CONTENT, Over

SETTINGS = Settings()


def _problems(limit: Over, *, over: bool) -> list[Problem]:
    client = HttpClient()
    adapter = ADAPTERS[limit.platform](client, build_platform_settings(SETTINGS, limit.platform))
    found = adapter.problems(limit.draft(limit.over if over else limit.fits), limit.account())
    assert client.calls == []
    return [p for p in found if p.field == limit.where and p.severity == limit.severity]


@pytest.mark.parametrize("limit", EVERY, ids=lambda limit: limit.name.replace(" ", "_"))
def test_over_a_limit_is_a_problem_and_at_the_limit_is_none(limit: Over) -> None:
    assert _problems(limit, over=False) == []
    found = _problems(limit, over=True)
    assert found
    for problem in found:
        assert problem.limit is not None
        assert problem.found is not None
        assert problem.message.endswith(".")
        assert problem.code
    if limit.severity == "refuse":
        assert any(_shown(problem) for problem in found)


def _shown(problem: Problem) -> bool:
    """The sentence names both numbers, however it writes them."""
    text = problem.message.replace(",", "")
    return all(_written(value) in text for value in (problem.limit, problem.found))


def _written(value: str | float | None) -> str:
    return str(value).replace(",", "") if not isinstance(value, float) else f"{value:g}".replace("+", "")[:5]


@pytest.mark.parametrize("platform", Platform)
def test_every_constant_of_limits_is_held_against_drafts_or_is_no_limit_of_posts(platform: Platform) -> None:
    there = {name for name in vars(MODULES[platform]) if name.isupper() and not name.startswith("_")}
    held = {limit.constant for limit in EVERY if limit.platform is platform}
    assert there - {"CAPABILITIES"} == held | NOT_OF_CONTENT[platform]
    assert not held & NOT_OF_CONTENT[platform]


def test_several_problems_are_reported_together() -> None:
    over = {"caption": "a" * 9000, "content_type": "image/x-nothing", "bytes": 10**12}
    for platform in Platform:
        if platform is Platform.YOUTUBE:
            continue  # its video's own limits are shown below
        limit = next(o for o in EVERY if o.platform is platform and o.kind == "slideshow")
        adapter = ADAPTERS[platform](HttpClient(), build_platform_settings(SETTINGS, platform))
        found = adapter.problems(limit.draft(over), limit.account())
        assert len([p for p in found if p.severity == "refuse"]) > 1, platform
    limit = next(o for o in EVERY if o.platform is Platform.YOUTUBE)
    adapter = ADAPTERS[Platform.YOUTUBE](HttpClient(), build_platform_settings(SETTINGS, Platform.YOUTUBE))
    assert len(adapter.problems(limit.draft({**over, "duration": 10.0**6}), limit.account())) > 3
