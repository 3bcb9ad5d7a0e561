"""Title, description, tags and file name of a draft, and whether it becomes a Short."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.contract import Draft
from adapters.limit import count_utf16_units
from adapters.youtube import limits, payload
from adapters.youtube.adapter import YouTube
from tests.adapters.files import facts
from tests.adapters.youtube.drafts import account, video

Make = Callable[..., YouTube]


def found(youtube: Make, draft: Draft, **settings: Any) -> list[tuple[str, str, str, Any]]:
    problems = youtube().problems(draft, account(**settings))
    return [(problem.severity, problem.code, problem.field, problem.found) for problem in problems]


@pytest.mark.parametrize(
    ("changes", "is_short"),
    [
        ({"width": 1080, "height": 1920, "duration": 180.0}, True),
        ({"width": 1080, "height": 1080, "duration": 1.0}, True),
        ({"width": 1080, "height": 1920, "duration": 180.1}, False),
        ({"width": 1081, "height": 1080, "duration": 1.0}, False),
        ({"width": None}, None),
        ({"duration": None}, None),
    ],
)
def test_what_becomes_no_short_is_said(
    youtube: Make, changes: dict[str, Any], *, is_short: bool | None
) -> None:
    draft = video(**changes)
    assert payload.is_short(draft) is is_short
    codes = [code for _, code, _, _ in found(youtube, draft)]
    assert codes == (["NOT_A_SHORT"] if is_short is False else [])


def test_angle_brackets_are_changed() -> None:
    snippet = payload.build_video(video(caption="I <3 <you>"), {})["snippet"]
    assert snippet["title"] == snippet["description"] == "I \u20393 \u2039you\u203a"


def test_too_many_hashtags_are_cut() -> None:
    caption = " ".join(f"#{letter * 99}" for letter in "abcdef")
    assert len(payload.find_tags(caption)) == 5
    assert sum(map(len, payload.find_tags(caption))) + 4 == 499


@pytest.mark.parametrize(
    ("caption", "title"),
    [
        ("Short", "Short"),
        ("\n  \n first \nsecond", "first"),
        ("a\tb\x00c", "a b c"),
        ("word " * 30, ("word " * 20).strip()),
        ("x" * 101, "x" * 100),
        ("x" * 99 + " yz", "x" * 99),
        ("\U0001f408" * 51, "\U0001f408" * 50),
        ("<b>", "\u2039b\u203a"),
    ],
)
def test_the_title_is_the_first_line(caption: str, title: str) -> None:
    assert payload.cut_title(caption) == title


@given(st.text(max_size=400))
def test_a_title_always_fits(caption: str) -> None:
    title = payload.cut_title(caption)
    assert count_utf16_units(title) <= limits.TITLE_UNITS
    assert not set(title) & set("<>\n\r")
    assert title == title.strip()
    assert not set(payload.build_description(caption)) & set("<>")


@given(st.lists(st.text(alphabet="aB9_ä", min_size=1, max_size=60).map("#{}".format), max_size=40))
def test_tags_always_fit(words: list[str]) -> None:
    tags = payload.find_tags(" ".join(words))
    assert sum(map(count_utf16_units, tags)) + max(0, len(tags) - 1) <= limits.TAGS_CHARACTERS
    assert not any("#" in tag or " " in tag for tag in tags)


def test_hashtags_come_once_and_in_order() -> None:
    assert payload.find_hashtags("#Cat and #dog, #CAT! a#no &#39; #été") == ("Cat", "dog", "été")


@pytest.mark.parametrize(
    ("delivery", "content_type", "name"),
    [
        ("abc-1", "video/mp4", "slipway-abc-1.mp4"),
        ("a/b\r\nc", "video/quicktime", "slipway-a-b--c.mov"),
        ("d", "application/octet-stream", "slipway-d"),
    ],
)
def test_the_file_name_is_a_marker_fit_for_a_header(delivery: str, content_type: str, name: str) -> None:
    media = replace(video().media[0], facts=facts(content_type=content_type))
    assert payload.build_file_name(replace(video(), delivery_id=delivery, media=(media,))) == name
