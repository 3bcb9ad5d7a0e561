"""A draft over a limit of limits.py is a problem that names the limit and the value found, without a request."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from adapters.contract import Platform, Problem
from adapters.http import HttpClient
from adapters.limit import ImageRule
from adapters.registry import ADAPTERS
from config.settings import Settings
from pipeline.wiring import build_platform_settings
from tests.adapters.conformance.limit_cases import LIMIT_CASES, LIMIT_MODULES, LimitCase

SETTINGS = Settings()
NOT_POST_LIMITS: Mapping[Platform, frozenset[str]] = {
    Platform.TIKTOK: frozenset(
        {
            "MB",
            "CODEC_ALIASES",
            "CHUNK_LEAST",
            "CHUNK_MOST",
            "CHUNK_LAST_MOST",
            "CHUNKS_MOST",
            "CHUNK_SIZES",
            "CHUNK_SMALL",
            "UPLOAD_FLOOR",
            "CHUNK_WANTED",
            "UPLOAD_URL_LIFE",
        }
    ),
    Platform.INSTAGRAM: frozenset(
        {
            "CONTAINERS_PER_DAY",
            "POSTS_PER_DAY",
            "QUOTA_RECHECK",
            "FIRST_POLL_IMAGE",
            "FIRST_POLL_VIDEO",
            "LONGEST_POLL",
            "RESTARTS",
            "RESTART_PAUSE",
            "GONE_READS",
            "LISTINGS",
            "CLOCK_SKEW",
            "PAGE",
            "CONTAINER_LIFE",
        }
    ),
    Platform.YOUTUBE: frozenset(
        {
            "TITLE_UNITS",
            "QUANTUM",
            "CHUNK",
            "CHUNK_TIME",
            "FRESH",
            "STALE",
            "CUTS",
            "CUT_PAUSE",
            "RESTARTS",
            "PROCESSING",
            "CLOCK_SKEW",
            "PAGE",
            "LONG_BUSY",
            "SHORT_BUSY",
            "CHANNEL_DAY",
        }
    ),
    Platform.PINTEREST: frozenset(
        {
            "MB",
            "RATIO_SLACK",
            "COVER_SECOND",
            "FIRST_POLL",
            "LONGEST_POLL",
            "GONE_READS",
            "RESTARTS",
            "RESTART_PAUSE",
            "PAGE",
            "BOARD_PAGES",
            "PAGES",
            "CLOCK_SKEW",
            "BUSY",
            "RESET_MOST",
        }
    ),
    Platform.LINKEDIN: frozenset(
        {
            "FIRST_POLL_IMAGE",
            "FIRST_POLL_VIDEO",
            "LONGEST_POLL",
            "GONE_READS",
            "RESTARTS",
            "RESTART_PAUSE",
            "URL_MARGIN",
            "NOT_READY",
            "LISTED",
            "CLOCK_SKEW",
        }
    ),
    # a video that does not fit a reel is published as a video: the limits of reels refuse nothing
    Platform.FACEBOOK: frozenset(
        {
            "REEL_TYPES",
            "REEL_CODECS",
            "REEL_SECONDS",
            "REEL_FPS",
            "REEL_PIXELS",
            "REEL_RATIO",
            "REEL_RATIO_SLACK",
            "REELS_PER_DAY",
            "FIRST_POLL",
            "FIRST_POST_READ",
            "LONGEST_POLL",
            "GONE_READS",
            "CUTS",
            "CUT_PAUSE",
            "RESTARTS",
            "RESTART_PAUSE",
            "CLOCK_SKEW",
            "PAGE",
        }
    ),
}
"""Constants of ``limits.py`` that limit no post: poll intervals, retries, chunk sizes. Three more are records."""


def _find_problems(limit: LimitCase, *, exceeds: bool) -> list[Problem]:
    client = HttpClient()
    adapter = ADAPTERS[limit.platform](client, build_platform_settings(SETTINGS, limit.platform))
    found = adapter.problems(limit.draft(limit.exceeds if exceeds else limit.fits), limit.account())
    assert client.calls == []
    return [p for p in found if p.field == limit.field_name and p.severity == limit.severity]


@pytest.mark.parametrize("limit", LIMIT_CASES, ids=lambda limit: limit.name.replace(" ", "_"))
def test_over_a_limit_is_a_problem_and_at_the_limit_is_none(limit: LimitCase) -> None:
    assert _find_problems(limit, exceeds=False) == []
    found = _find_problems(limit, exceeds=True)
    assert found
    for problem in found:
        assert problem.limit is not None
        assert problem.found is not None
        assert problem.message.endswith(".")
        assert problem.code
    if limit.severity == "refuse":
        assert any(_names_both_values(problem) for problem in found)


def _names_both_values(problem: Problem) -> bool:
    """Return True if the message names limit and found value, with or without thousands separators."""
    text = problem.message.replace(",", "")
    return all(_format_number(value) in text for value in (problem.limit, problem.found))


def _format_number(value: str | float | None) -> str:
    return str(value).replace(",", "") if not isinstance(value, float) else f"{value:g}".replace("+", "")[:5]


@pytest.mark.parametrize("platform", Platform)
def test_every_constant_of_limits_is_held_against_drafts_or_is_no_limit_of_posts(platform: Platform) -> None:
    constants = {
        name for name in vars(LIMIT_MODULES[platform]) if name.isupper() and not name.startswith("_")
    }
    covered = {limit.constant for limit in LIMIT_CASES if limit.platform is platform}
    assert constants - {"CAPABILITIES", "LIMITS", "RETIREMENTS"} == covered | NOT_POST_LIMITS[platform]
    assert not covered & NOT_POST_LIMITS[platform]


@pytest.mark.parametrize("platform", Platform)
def test_every_limit_of_posts_stands_in_the_table_for_people(platform: Platform) -> None:
    limits = ADAPTERS[platform].capabilities.limits
    shown = {value for limit in limits for value in (limit.least, limit.most, *limit.values)}
    for name in {limit.constant for limit in LIMIT_CASES if limit.platform is platform}:
        for value in filter(None, _list_leaves(getattr(LIMIT_MODULES[platform], name))):
            is_below = isinstance(value, int) and value - 1 in shown  # LinkedIn: fewer than so many pixels
            assert value in shown or is_below, f"{name}: {value}"


def _list_leaves(constant: Any) -> Iterator[str | float]:
    """Yield the numbers and words of a constant: a value, a tuple, or a record by connection."""
    if isinstance(constant, Mapping):
        for part in constant.values():
            yield from _list_leaves(dataclasses.astuple(part))
    elif isinstance(constant, ImageRule):
        yield from _list_leaves(
            (*constant.types, constant.bytes, constant.long_side, constant.short_side, constant.area)
        )
    elif isinstance(constant, tuple):
        for part in constant:
            yield from _list_leaves(part)
    elif constant is not None:
        yield from tuple(constant) if constant == "<>" else (constant,)


def test_several_problems_are_reported_together() -> None:
    exceeds = {"caption": "a" * 9000, "content_type": "image/x-nothing", "bytes": 10**12}
    for platform in Platform:
        if platform is Platform.YOUTUBE:
            continue  # has no slideshow; its video limits are checked below
        limit = next(o for o in LIMIT_CASES if o.platform is platform and o.kind == "slideshow")
        adapter = ADAPTERS[platform](HttpClient(), build_platform_settings(SETTINGS, platform))
        found = adapter.problems(limit.draft(exceeds), limit.account())
        assert len([p for p in found if p.severity == "refuse"]) > 1, platform
    limit = next(o for o in LIMIT_CASES if o.platform is Platform.YOUTUBE)
    adapter = ADAPTERS[Platform.YOUTUBE](HttpClient(), build_platform_settings(SETTINGS, Platform.YOUTUBE))
    assert len(adapter.problems(limit.draft({**exceeds, "duration": 10.0**6}), limit.account())) > 3
