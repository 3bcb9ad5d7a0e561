"""A draft over a limit gets a Problem with rule, limit and found value, without a request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from adapters.contract import Draft, Media, Problem
from adapters.tiktok import TikTok
from tests.adapters.scripted_server import ScriptedServer
from tests.adapters.tiktok.drafts import account, image, photos, track, video

Make = Callable[..., TikTok]
MB = 1024 * 1024
CONTAINERS = "video/mp4, video/quicktime, video/webm"
IMAGES = "image/jpeg or image/webp"
SOUND_PAGE = "https://www.tiktok.com/music/x-7221171716369631233"
BY_IP = "https://93.184.216.34/1.jpg"
NOT_THIS = "auto_add_music would add TikTok's choice, not this track"
BOTH = ("creator", "business")


def images(*made: Media, **options: Any) -> Draft:
    return replace(photos(**options), media=made)


def asked(tiktok: Make, draft: Draft, connection: str) -> list[Problem]:
    return list(tiktok().problems(draft, account(connection)))


CASES: list[tuple[Draft, tuple[str, ...], str, object, object]] = [
    (replace(video(), media=()), BOTH, "media", 1, 0),
    (replace(photos(), media=()), BOTH, "media.urls", 35, 0),
    (photos(36), BOTH, "media.urls", 35, 36),
    (images(video().media[0]), BOTH, "media.urls[0]", "image", "video"),
    (replace(video(), media=(image(1),)), BOTH, "media.url", "video", "image"),
    (video(options={"post_mode": "MEDIA_UPLOAD"}), BOTH, "tiktok.post_mode", "slideshow", "video"),
    (replace(video(), caption="🐈" * 1101), BOTH, "caption", 2200, 2202),
    (video(options={"description": "x" * 2201}), BOTH, "tiktok.description", 2200, 2201),
    (photos(caption="x" * 4001), BOTH, "caption", 4000, 4001),
    (photos(title="🐈" * 46), BOTH, "tiktok.title", 90, 92),
    (replace(video(), caption="@a " * 31), ("business",), "caption", 30, 31),
    (video(content_type="video/x-msvideo"), BOTH, "media.url", CONTAINERS, "video/x-msvideo"),
    (video(codec="mpeg4"), BOTH, "media.url", "h264, hevc, vp8, vp9", "mpeg4"),
    (video(bytes=4096 * MB + 1), ("creator",), "media.url", 4096 * MB, 4096 * MB + 1),
    (video(bytes=1024 * MB + 1), ("business",), "media.url", 1024 * MB, 1024 * MB + 1),
    (video(bytes=0), BOTH, "media.url", 1, 0),
    (video(duration=600.5), BOTH, "media.url", 600, 600.5),
    (video(duration=2.9), ("business",), "media.url", 3, 2.9),
    (video(fps=60.1), BOTH, "media.url", 60, 60.1),
    (video(fps=22.9), BOTH, "media.url", 23, 22.9),
    (video(width=359), BOTH, "media.url", 360, 359),
    (video(height=4097), ("creator",), "media.url", 4096, 4097),
    (images(image(1), image(2, content_type="image/png")), BOTH, "media.urls[1]", IMAGES, "image/png"),
    (images(image(1, bytes=20 * MB + 1)), BOTH, "media.urls[0]", 20 * MB, 20 * MB + 1),
    (images(image(1, width=1080, height=1921)), BOTH, "media.urls[0]", 1920, 1921),
    (images(image(1, width=1081, height=1900)), BOTH, "media.urls[0]", 1080, 1081),
    (images(replace(image(1), url=BY_IP)), BOTH, "media.urls[0]", "a host name", "an IP address"),
    (
        photos(privacy_level="EVERYBODY"),
        BOTH,
        "tiktok.privacy_level",
        "PUBLIC_TO_EVERYONE, MUTUAL_FOLLOW_FRIENDS, FOLLOWER_OF_CREATOR, SELF_ONLY",
        "EVERYBODY",
    ),
    (
        video(options={"privacy_level": "SELF_ONLY"}),
        ("business",),
        "tiktok.privacy_level",
        "PUBLIC_TO_EVERYONE",
        "SELF_ONLY",
    ),
    (
        photos(privacy_level="SELF_ONLY", is_branded_content=True),
        BOTH,
        "tiktok.privacy_level",
        "not SELF_ONLY",
        "SELF_ONLY",
    ),
    (
        photos(is_commercial=True),
        BOTH,
        "tiktok.is_commercial",
        "is_your_brand or is_branded_content",
        "neither",
    ),
]


@pytest.mark.parametrize(("draft", "connections", "field", "limit", "value"), CASES)
@pytest.mark.parametrize("connection", BOTH)
def test_over_the_limit(
    server: ScriptedServer,
    tiktok: Make,
    draft: Draft,
    connections: tuple[str, ...],
    field: str,
    limit: object,
    value: object,
    connection: str,
) -> None:
    refused = [problem for problem in asked(tiktok, draft, connection) if problem.severity == "refuse"]
    matching = [
        problem
        for problem in refused
        if (problem.field, problem.limit, problem.found) == (field, limit, value)
    ]
    assert bool(matching) is (connection in connections)
    assert all(problem.code == "validation_failed" and problem.message.endswith(".") for problem in refused)
    assert server.requests == []


@pytest.mark.parametrize("connection", BOTH)
@pytest.mark.parametrize(
    "draft",
    [
        video(),
        video(codec="hvc1", duration=600.0, fps=60.0, width=360, height=4096, bytes=1024 * MB),
        video(codec=None, duration=None, fps=None, width=None, height=None),
        replace(video(), caption="x" * 2200, media=(replace(video().media[0], facts=None),)),
        photos(35, caption="x" * 4000, title="x" * 90),
        images(image(1, width=1920, height=1080, content_type="image/webp", bytes=20 * MB)),
        images(image(1, width=None, height=None)),
        images(replace(image(1), url="http://127.0.0.1:8000/1.jpg")),
        photos(is_commercial=True, is_your_brand=True),
        photos(post_mode="MEDIA_UPLOAD"),
        photos(post_mode="MEDIA_UPLOAD", privacy_level="PUBLIC_TO_EVERYONE", disable_comment=False),
    ],
)
def test_at_the_limit(tiktok: Make, draft: Draft, connection: str) -> None:
    assert asked(tiktok, draft, connection) == []


def test_everything_wrong_is_said_at_once(tiktok: Make) -> None:
    draft = video(
        options={"privacy_level": "SELF_ONLY", "is_branded_content": True, "post_mode": "DIRECT_POST"},
        content_type="video/x-msvideo",
        codec="mpeg4",
        duration=1000.0,
        fps=120.0,
        width=10,
        bytes=5000 * MB,
    )
    assert len(asked(tiktok, draft, "creator")) == 8
    assert len(asked(tiktok, draft, "business")) == 9


@pytest.mark.parametrize(
    ("draft", "code", "field"),
    [
        (video(options={"title": "T"}), "TITLE_NOT_USED", "tiktok.title"),
        (video(options={"auto_add_music": True}), "SETTING_HAS_NO_EFFECT", "tiktok.auto_add_music"),
        (photos(disable_duet=True), "SETTING_HAS_NO_EFFECT", "tiktok.disable_duet"),
        (photos(disable_stitch=True), "SETTING_HAS_NO_EFFECT", "tiktok.disable_stitch"),
        (
            photos(post_mode="MEDIA_UPLOAD", privacy_level="SELF_ONLY"),
            "DRAFT_IGNORES_SETTING",
            "tiktok.privacy_level",
        ),
        (
            photos(post_mode="MEDIA_UPLOAD", auto_add_music=True),
            "DRAFT_IGNORES_SETTING",
            "tiktok.auto_add_music",
        ),
    ],
)
def test_warnings(tiktok: Make, draft: Draft, code: str, field: str) -> None:
    (problem,) = asked(tiktok, draft, "creator")
    assert (problem.severity, problem.code, problem.field) == ("warn", code, field)


LINK = "https://www.tiktok.com/@scout2015/video/6718335390845095173"


@pytest.mark.parametrize(
    ("draft", "connection", "code", "words"),
    [
        (video(), "creator", "MUSIC_NOT_SUPPORTED_BY_CONNECTION", "the video goes out with its own sound"),
        (photos(), "creator", "MUSIC_NOT_SUPPORTED_BY_CONNECTION", NOT_THIS),
        (photos(post_mode="MEDIA_UPLOAD"), "creator", "MUSIC_BY_HAND", SOUND_PAGE),
        (photos(post_mode="MEDIA_UPLOAD"), "business", "MUSIC_BY_HAND", "Track"),
    ],
)
def test_music_that_will_not_be_attached_is_said(
    tiktok: Make, draft: Draft, connection: str, code: str, words: str
) -> None:
    (problem,) = asked(tiktok, replace(draft, music_url=LINK, track=track()), connection)
    assert (problem.severity, problem.code, problem.field) == ("warn", code, "music_url")
    assert words in problem.message
    (early,) = asked(tiktok, replace(draft, music_url=LINK), connection)  # not resolved yet
    assert early.code == code


@pytest.mark.parametrize("draft", [video(), photos()])
def test_music_on_a_business_account_is_no_problem(tiktok: Make, draft: Draft) -> None:
    assert asked(tiktok, replace(draft, music_url=LINK, track=track()), "business") == []


def test_an_unknown_connection(tiktok: Make) -> None:
    (problem,) = asked(tiktok, video(), "shop")
    assert problem.found == "shop"
