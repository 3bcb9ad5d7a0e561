"""Posts of text alone, with a link or without: their bodies, and what the list shows of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from adapters.contract import Draft
from adapters.errors import Rejected
from adapters.facebook.adapter import Facebook
from adapters.http import HttpClient
from tests.adapters.drafts import prepare_to_end
from tests.adapters.facebook import drafts as m
from tests.adapters.instagram.graph_error import build_error
from tests.adapters.scripted_server import ScriptedServer

LINK = "https://example.com/news?a=1"
TEXT, CARD = m.text(), m.text(link=LINK)
BODIES = [(TEXT, {"message": "Some words"}), (CARD, {"message": "Some words", "link": LINK})]


@pytest.mark.parametrize(("draft", "body"), BODIES, ids=["text", "link"])
def test_a_text_becomes_an_unpublished_post(
    server: ScriptedServer, facebook: Facebook, draft: Draft, body: dict[str, Any]
) -> None:
    server.enqueue(m.POSTED, m.post_state(published=False), m.SUCCESS)
    ready = prepare_to_end(lambda: facebook, draft, m.account())
    facebook.finalize(draft, m.account(), ready)
    assert server.requests[0].json() == {**body, "published": False}
    assert server.requests[2].json() == {"is_published": True}


@pytest.mark.parametrize(("draft", "body"), BODIES, ids=["text", "link"])
def test_a_direct_text_is_one_call(server: ScriptedServer, draft: Draft, body: dict[str, Any]) -> None:
    direct = Facebook(HttpClient(), m.build_settings(server.url, feed_mode="direct"))
    server.enqueue(m.POSTED)
    direct.finalize(draft, m.account(), prepare_to_end(lambda: direct, draft, m.account()))
    assert [asked.json() for asked in server.requests] == [body]


@pytest.mark.parametrize(
    ("code", "subcode"), [(1609005, None), (100, 1609008), (100, 2061006)], ids=["unread", "own", "invalid"]
)
def test_a_link_that_facebook_does_not_take_fails_before_anything_is_visible(
    server: ScriptedServer, facebook: Facebook, code: int, subcode: int | None
) -> None:
    server.enqueue(build_error(code, subcode))
    with pytest.raises(Rejected):
        facebook.prepare(CARD, m.account(), {})


@pytest.mark.parametrize(
    ("types", "text", "link"),
    [
        ([], (True, True), (True, None)),
        (["link"], (True, True), (True, True)),
        (["photo"], (False, True), (False, True)),
        ([None], (None, True), (None, True)),
    ],
)
def test_a_listed_text_shows_nothing_or_a_link(
    server: ScriptedServer,
    facebook: Facebook,
    types: list[str | None],
    text: tuple[bool | None, bool | None],
    link: tuple[bool | None, bool | None],
) -> None:
    shown = {"attachments": {"data": [{"media_type": one} for one in types]}} if types else {}
    post = {"id": m.POST, "message": "Some  words", "created_time": "2026-11-24T12:00:01+0000", **shown}
    server.on("GET", f"/graph/v25.0/{m.PAGE}/published_posts", json.dumps({"data": [post]}))
    for draft, expected in ((TEXT, text), (CARD, link)):
        [found] = facebook.list_posts(draft, m.account(), datetime(2026, 11, 24, tzinfo=UTC)).posts
        assert (found.same_kind, found.same_media, found.same_caption) == (*expected, True)
