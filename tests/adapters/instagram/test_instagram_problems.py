"""Every limit, at it and above it; a draft that breaks one sends no request."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from adapters.contract import Adapter, Draft, Media
from adapters.http import HttpClient
from adapters.instagram import Instagram
from tests.adapters.instagram.drafts import account, build_settings, carousel, image, photo_post, reel, video
from tests.adapters.scripted_server import ScriptedServer

MIB = 1024 * 1024


def of_image(**facts: Any) -> Draft:
    return replace(photo_post(), media=(image(**facts),))


def of_video(**facts: Any) -> Draft:
    return reel(video(**facts))


FINE = [
    photo_post("x" * 2200),
    photo_post(" ".join(["#tag"] * 30)),
    photo_post(" ".join(["@friend.of_mine"] * 20)),
    photo_post("mail a@b.example and #" + "x"),
    of_image(bytes=8 * MIB),
    of_image(width=1080, height=1350),
    of_image(width=1080, height=566),
    of_image(width=None, height=None),
    carousel(2),
    carousel(10),
    of_video(duration=3.0),
    of_video(duration=900.0),
    of_video(bytes=300 * MIB),
    of_video(fps=23.976),
    of_video(fps=60.0, width=1920, height=1080, codec="hevc", content_type="video/quicktime"),
    of_video(width=None, height=None, duration=None, codec=None, fps=None),
    replace(reel(), media=(Media(url="https://cdn.example.com/v.mp4", kind="video"),)),
]

BROKEN: list[tuple[Draft, str, object, object]] = [
    (photo_post("x" * 2201), "caption", 2200, 2201),
    (photo_post(" ".join(["#tag"] * 31)), "caption", 30, 31),
    (photo_post(" ".join(["@friend"] * 21)), "caption", 20, 21),
    (of_image(content_type="image/png"), "media.urls[0]", "image/jpeg", "image/png"),
    (of_image(bytes=8 * MIB + 1), "media.urls[0]", 8 * MIB, 8 * MIB + 1),
    (of_image(width=1080, height=1920), "media.urls[0]", "0.75 to 1.91", 0.562),
    (of_image(width=2000, height=1000), "media.urls[0]", "0.75 to 1.91", 2.0),
    (carousel(11), "media", 10, 11),
    (
        of_video(content_type="video/webm"),
        "media.url",
        "video/mp4 or video/quicktime",
        "video/webm",
    ),
    (of_video(codec="vp9"), "media.url", "h264 or hevc", "vp9"),
    (of_video(bytes=300 * MIB + 1), "media.url", 300 * MIB, 300 * MIB + 1),
    (of_video(width=3840, height=2160), "media.url", 1920, 3840),
    (of_video(duration=2.9), "media.url", "3 to 900", 2.9),
    (of_video(duration=901.0), "media.url", "3 to 900", 901.0),
    (of_video(fps=15.0), "media.url", "23 to 60", 15.0),
    (of_video(fps=120.0), "media.url", "23 to 60", 120.0),
    (of_video(width=1900, height=180), "media.url", "0.01 to 10", 10.556),
]


@pytest.mark.parametrize("draft", FINE)
def test_what_instagram_takes_is_let_through(client: HttpClient, draft: Draft) -> None:
    assert Instagram(client, build_settings("http://unused")).problems(draft, account()) == []


@pytest.mark.parametrize(("draft", "field", "limit", "found"), BROKEN)
def test_over_a_limit_is_one_problem_that_names_it_and_no_request(
    server: ScriptedServer, instagram: Instagram, draft: Draft, field: str, limit: object, found: object
) -> None:
    (problem,) = instagram.problems(draft, account())
    assert (problem.severity, problem.code, problem.field) == ("refuse", "validation_failed", field)
    assert (problem.limit, problem.found) == (limit, found)
    assert str(found) in problem.message
    assert server.requests == []


def test_several_problems_come_together_and_name_their_place(client: HttpClient) -> None:
    media = (image(1), image(2, content_type="image/webp", bytes=9 * MIB))
    draft = replace(carousel(), caption="#a " * 31 + "@b " * 21, media=media)
    found = Instagram(client, build_settings("http://unused")).problems(draft, account())
    assert [problem.field for problem in found] == [
        "caption",
        "caption",
        "media.urls[1]",
        "media.urls[1]",
    ]


def test_it_is_an_adapter(client: HttpClient) -> None:
    assert isinstance(Instagram(client, build_settings("http://unused")), Adapter)
