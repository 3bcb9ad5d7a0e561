"""A broken limit yields a problem that names rule, limit and value, and sends no request."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.contract import Draft
from adapters.pinterest import Pinterest, limits
from tests.adapters.pinterest import drafts as m
from tests.adapters.scripted_server import ScriptedServer

MB = 1024 * 1024

BROKEN: list[tuple[Draft, str, Any, Any]] = [
    (m.post(board=None), "pinterest.board_id", "a board", None),
    (m.post(board="my board"), "pinterest.board_id", "digits", "my board"),
    (m.post(caption="x" * 801), "caption", 800, 801),
    (m.post(title="x" * 101), "pinterest.title", 100, 101),
    (m.post(link="https://a.example/" + "x" * 2031), "pinterest.link", 2048, 2049),
    (m.post(link="ftp://a.example/"), "pinterest.link", "http or https", "ftp://a.example/"),
    (m.post(link="http://[a.example/"), "pinterest.link", "http or https", "http://[a.example/"),
    (m.post(*map(m.image, range(6))), "media", 5, 6),
    (m.post(m.image(), m.video()), "media.urls[1]", "image", "video"),
    (m.post(m.image(content_type="image/webp")), "media.urls[0]", "image/jpeg or image/png", "image/webp"),
    (m.post(m.image(bytes=20 * MB + 1)), "media.urls[0]", 20 * MB, 20 * MB + 1),
    (
        m.post(m.video(content_type="video/webm")),
        "media.url",
        "video/mp4 or video/quicktime or video/x-m4v",
        "video/webm",
    ),
    (m.post(m.video(codec="vp9")), "media.url", "h264 or hevc", "vp9"),
    (m.post(m.video(bytes=2048 * MB + 1)), "media.url", 2048 * MB, 2048 * MB + 1),
    (m.post(m.video(duration=3.9)), "media.url", "4 to 900", 3.9),
    (m.post(m.video(duration=901)), "media.url", "4 to 900", 901),
    (m.post(m.video(width=2000, height=1000)), "media.url", "0.49 to 1.92", 2.0),
    (m.post(m.video(width=480, height=1000)), "media.url", "0.49 to 1.92", 0.48),
    (m.post(m.video(), m.video()), "media", 1, 2),
]


@pytest.mark.parametrize(("draft", "field", "limit", "found"), BROKEN)
def test_every_limit_is_named(
    server: ScriptedServer, pinterest: Pinterest, draft: Draft, field: str, limit: Any, found: Any
) -> None:
    problems = pinterest.problems(draft, m.account())
    assert [(p.severity, p.field, p.limit, p.found) for p in problems] == [("refuse", field, limit, found)]
    assert problems[0].code == "validation_failed"
    if found is not None:
        assert str(found) in problems[0].message
    assert server.requests == []


def test_a_missing_board_names_the_account(pinterest: Pinterest) -> None:
    (problem,) = pinterest.problems(m.post(board=None), m.account())
    assert "casa" in problem.message
    assert pinterest.problems(m.post(board=None), m.account(default_board=m.BOARD)) == []


def test_several_problems_are_told_together(pinterest: Pinterest) -> None:
    draft = m.post(m.video(codec="vp9", duration=1), caption="x" * 900, board=None)
    assert {p.field for p in pinterest.problems(draft, m.account())} == {
        "pinterest.board_id",
        "caption",
        "media.url",
    }


def test_what_could_not_be_told_is_not_held_against_the_draft(pinterest: Pinterest) -> None:
    unknown = m.video(width=None, height=None, duration=None, codec=None)
    assert pinterest.problems(m.post(unknown), m.account()) == []


@pytest.mark.parametrize(
    "draft",
    [
        m.post(),
        m.post(*map(m.image, range(5)), link="https://a.example", tags=["a b"], title="x" * 100),
        m.post(m.video(width=1910, height=1000, duration=900, bytes=2048 * MB)),
        m.post(m.video(width=500, height=1000, duration=4, content_type="video/quicktime", codec="hevc")),
    ],
)
def test_within_the_limits_nothing_is_wrong(pinterest: Pinterest, draft: Draft) -> None:
    assert pinterest.problems(draft, m.account()) == []


def test_what_goes_out_differently_is_a_warning(pinterest: Pinterest) -> None:
    draft = m.post(m.image(1), m.image(2, width=999), caption="x" * 795, tags=["much", "tiles"])
    warned = {p.code: p for p in pinterest.problems(draft, m.account()) if p.severity == "warn"}
    assert set(warned) == {"TAGS_LEFT_OUT", "CAROUSEL_SIZES_DIFFER"}
    assert (warned["TAGS_LEFT_OUT"].limit, warned["TAGS_LEFT_OUT"].found) == (
        limits.DESCRIPTION_CHARACTERS,
        2,
    )
