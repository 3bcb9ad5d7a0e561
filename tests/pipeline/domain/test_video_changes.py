"""What is said about videos that a platform refuses: each value that has to change, and no other."""

from __future__ import annotations

from dataclasses import replace

import pytest

from adapters.contract import MediaFacts, Platform
from adapters.registry import ADAPTERS
from pipeline.domain.media_fitting import describe_changes

GOOD = MediaFacts(
    content_type="video/mp4", bytes=9_000_000, width=1080, height=1920, duration=30.0, codec="h264", fps=30.0
)


def describe(platform: Platform, facts: MediaFacts, connection: str = "") -> str | None:
    return describe_changes(facts, ADAPTERS[platform].capabilities.limits, connection)


@pytest.mark.parametrize("platform", Platform)
def test_of_a_video_that_fits_nothing_has_to_change(platform: Platform) -> None:
    assert describe(platform, GOOD, "creator") is None


def test_exactly_what_is_over_a_limit_is_named() -> None:
    facts = replace(GOOD, content_type="video/webm", codec="vp9", fps=120.0, width=2160, height=3840)
    assert describe(Platform.INSTAGRAM, facts) == (
        "Videos are sent as they are. Re-encode this one: type video/mp4 or video/quicktime instead of video/webm; "
        "codec h264 or hevc instead of vp9; frame rate 23 to 60 frames per second instead of 120.0; "
        "width at most 1920 pixels instead of 2160."
    )


@pytest.mark.parametrize(
    ("width", "height", "said"),
    [
        (200, 400, "side 360 to 4096 pixels instead of 200"),
        (5000, 5000, "side 360 to 4096 pixels instead of 5000"),
    ],
)
def test_either_side_is_compared(width: int, height: int, said: str) -> None:
    told = describe(Platform.TIKTOK, replace(GOOD, width=width, height=height), "creator")
    assert told is not None
    assert said in told


def test_an_unknown_fact_says_nothing() -> None:
    assert describe(Platform.INSTAGRAM, MediaFacts(content_type="video/mp4", bytes=1000)) is None
