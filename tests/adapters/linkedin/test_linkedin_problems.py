"""A broken limit yields a problem that names rule, limit and value, and sends no request."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.contract import Draft
from adapters.linkedin import LinkedIn
from tests.adapters.linkedin import drafts as m
from tests.adapters.scripted_server import ScriptedServer

BROKEN: list[tuple[Draft, str, Any, Any]] = [
    (m.build_draft(caption="x" * 3001), "caption", 3000, 3001),
    (m.build_draft(caption="(" * 1501), "caption", 3000, 3002),
    (m.build_draft(*(m.image() for _ in range(21))), "media", 20, 21),
    (m.build_draft(m.image(), m.video()), "media.urls[1]", "image", "video"),
    (m.build_draft(m.video(), m.video()), "media", 1, 2),
    (
        m.build_draft(m.image(content_type="image/webp")),
        "media.urls[0]",
        "image/jpeg or image/png or image/gif",
        "image/webp",
    ),
    (m.build_draft(m.image(width=36_152_320, height=1)), "media.urls[0]", 36_152_319, 36_152_320),
    (m.build_draft(m.video(content_type="video/quicktime")), "media.url", "video/mp4", "video/quicktime"),
    (m.build_draft(m.video(bytes=76_799)), "media.url", "76800 to 524288000", 76_799),
    (m.build_draft(m.video(bytes=524_288_001)), "media.url", "76800 to 524288000", 524_288_001),
    (m.build_draft(m.video(duration=2.9)), "media.url", "3 to 1800", 2.9),
    (m.build_draft(m.video(duration=1801)), "media.url", "3 to 1800", 1801),
]


@pytest.mark.parametrize(("draft", "field", "limit", "found"), BROKEN)
def test_every_limit_is_named(
    server: ScriptedServer, linkedin: LinkedIn, draft: Draft, field: str, limit: Any, found: Any
) -> None:
    problems = linkedin.problems(draft, m.account())
    assert [(p.severity, p.field, p.limit, p.found) for p in problems] == [("refuse", field, limit, found)]
    assert problems[0].code == "validation_failed"
    assert str(found) in problems[0].message
    assert str(limit) in problems[0].message
    assert server.requests == []


@pytest.mark.parametrize(
    ("connection", "remote_id"),
    [("showcase", m.ORG), ("person", m.ORG), ("organization", m.MEMBER), ("organization", "5583111")],
)
def test_an_author_that_cannot_post_is_refused(linkedin: LinkedIn, connection: str, remote_id: str) -> None:
    (problem,) = linkedin.problems(m.build_draft(), m.account(connection, remote_id=remote_id))
    assert (problem.field, problem.severity) == ("accounts", "refuse")


def test_several_problems_are_told_together(linkedin: LinkedIn) -> None:
    draft = m.build_draft(m.video(duration=1, content_type="video/webm"), caption="x" * 4000)
    assert [p.field for p in linkedin.problems(draft, m.account())] == ["caption", "media.url", "media.url"]


@pytest.mark.parametrize("connection", ["person", "organization"])
@pytest.mark.parametrize(
    "draft",
    [
        m.build_draft(m.image(width=None, height=None)),
        m.build_draft(m.video(duration=None, codec=None, width=None, height=None)),
        m.build_draft(*(m.image(content_type="image/gif") for _ in range(20)), caption="(" * 1500),
        m.build_draft(m.video(duration=1800, bytes=524_288_000)),
    ],
)
def test_within_the_limits_nothing_is_wrong(linkedin: LinkedIn, connection: str, draft: Draft) -> None:
    assert linkedin.problems(draft, m.account(connection)) == []
