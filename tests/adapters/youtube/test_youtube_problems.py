"""Problems of drafts over a limit, without a request; title, description and tags of a caption."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.contract import Adapter, Draft, Problem
from adapters.limit import count_utf16_units
from adapters.youtube import YouTube, limits, payload
from tests.adapters.files import facts
from tests.adapters.scripted_server import ScriptedServer
from tests.adapters.youtube.drafts import account, slideshow, video

Make = Callable[..., YouTube]
HOURS_12 = 12 * 3600.0


def found(youtube: Make, draft: Draft, **settings: Any) -> list[tuple[str, str, str, Any]]:
    problems = youtube().problems(draft, account(**settings))
    return [(problem.severity, problem.code, problem.field, problem.found) for problem in problems]


def test_it_is_an_adapter(youtube: Make) -> None:
    assert isinstance(youtube(), Adapter)


@pytest.mark.parametrize(
    "draft",
    [
        video(),
        video(caption="x" * 5000),
        video(bytes=limits.VIDEO_BYTES),
        video(content_type="application/octet-stream"),
        video(content_type="video/x-matroska", codec=None, fps=None),
        video(duration=180.0, width=1080, height=1080),
        video(duration=None, width=None, height=None),
        replace(video(), media=(replace(video().media[0], facts=None),)),
    ],
)
def test_what_youtube_takes_is_let_through(youtube: Make, draft: Draft) -> None:
    assert found(youtube, draft) == []


@pytest.mark.parametrize(
    ("draft", "field", "value"),
    [
        (slideshow(), "media", "slideshow"),
        (replace(slideshow(), kind="video"), "media", "image"),
        (replace(video(), media=video().media * 2), "media", 2),
        (video(caption=" \n "), "caption", 0),
        (video(caption="x" * 5001), "caption", 5001),
        (video(caption="ä" * 2501), "caption", 5002),
        (video(content_type="image/gif"), "media.url", "image/gif"),
        (video(bytes=limits.VIDEO_BYTES + 1), "media.url", limits.VIDEO_BYTES + 1),
        (video(bytes=0), "media.url", 0),
    ],
)
def test_over_a_limit_is_one_refusal_and_no_request(
    server: ScriptedServer, youtube: Make, draft: Draft, field: str, value: object
) -> None:
    (problem,) = youtube().problems(draft, account())
    assert (problem.severity, problem.code, problem.field, problem.found) == (
        "refuse",
        "validation_failed",
        field,
        value,
    )
    assert problem.limit is not None
    assert str(value) in problem.message or value == 0
    assert server.requests == []


def test_twelve_hours_are_the_most(youtube: Make) -> None:
    assert found(youtube, video(duration=HOURS_12))[0][:2] == ("warn", "NOT_A_SHORT")
    refused = found(youtube, video(duration=HOURS_12 + 1))
    assert refused[0] == ("refuse", "validation_failed", "media.url", HOURS_12 + 1)


def test_several_problems_come_together(youtube: Make) -> None:
    bad = video(
        caption="<" + "x" * 5001,
        content_type="audio/mpeg",
        bytes=limits.VIDEO_BYTES + 1,
        duration=HOURS_12 + 1,
    )
    severities = [severity for severity, *_ in found(youtube, bad)]
    assert severities.count("refuse") == 4
    assert severities.count("warn") == 2


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


@pytest.mark.parametrize(
    ("status", "warned"), [("eligible", True), ("disallowed", True), ("allowed", False), (None, False)]
)
def test_a_channel_that_may_not_upload_long_is_warned(
    youtube: Make, status: str | None, *, warned: bool
) -> None:
    settings = {} if status is None else {"long_uploads": status}
    codes = [code for _, code, _, _ in found(youtube, video(duration=901.0), **settings)]
    assert ("CHANNEL_NOT_VERIFIED" in codes) is warned


def test_angle_brackets_are_changed_and_said(youtube: Make) -> None:
    draft = video(caption="I <3 <you>")
    assert found(youtube, draft) == [("warn", "TEXT_CHANGED", "caption", 3)]
    snippet = payload.build_video(draft, {})["snippet"]
    assert snippet["title"] == snippet["description"] == "I \u20393 \u2039you\u203a"


def test_too_many_hashtags_are_cut_and_said(youtube: Make) -> None:
    caption = " ".join(f"#{letter * 99}" for letter in "abcdef")
    assert found(youtube, video(caption=caption)) == [("warn", "TAGS_CUT", "caption", 6)]
    assert len(payload.find_tags(caption)) == 5
    assert sum(map(len, payload.find_tags(caption))) + 4 == 499


def test_every_problem_is_a_sentence_with_its_numbers(youtube: Make) -> None:
    problems: list[Problem] = list(youtube().problems(video(bytes=limits.VIDEO_BYTES + 1), account()))
    assert str(limits.VIDEO_BYTES) in problems[0].message
    assert problems[0].limit == limits.VIDEO_BYTES


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
