"""Posts of text alone, with a link or without, and documents: their bodies, and how a lost one is found again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from adapters.contract import CannotTell, Pending, Published
from adapters.linkedin.adapter import LinkedIn
from tests.adapters.drafts import ARMED, prepare_to_end
from tests.adapters.linkedin import drafts as m
from tests.adapters.scripted_server import Reply, ScriptedServer

LINK = "https://example.com/jobs?a=1"
AT = int(ARMED.timestamp() * 1000)
CARD = {"article": {"source": LINK}}


def listed(urn: str = m.SHARE, content: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    return {**m.build_post(urn, m.IMAGE), "createdAt": AT + 1, "content": content, **changes}


def test_a_text_is_prepared_without_a_request(server: ScriptedServer, linkedin: LinkedIn) -> None:
    assert prepare_to_end(lambda: linkedin, m.text(), m.account()) == {}
    assert server.calls == []


@pytest.mark.parametrize(
    ("options", "content"),
    [
        ({}, None),
        ({"title": "Unused"}, None),
        ({"link": LINK}, CARD),
        ({"link": LINK, "title": "Jobs"}, {"article": {"source": LINK, "title": "Jobs"}}),
    ],
)
def test_a_text_has_no_content_but_the_card_of_its_link(
    server: ScriptedServer, linkedin: LinkedIn, options: dict[str, str], content: dict[str, Any] | None
) -> None:
    server.enqueue(m.POSTED)
    result = linkedin.finalize(m.text(**options), m.account(), {})
    assert isinstance(result, Published)
    assert server.requests[0].json().get("content") == content


def test_a_document_is_sent_whole_and_posted_with_its_title(
    server: ScriptedServer, linkedin: LinkedIn
) -> None:
    urn, draft = "urn:li:document:D4E10AQ", m.document()
    address = {"uploadUrl": f"{server.url}/dms-uploads/1", "document": urn}
    server.enqueue(json.dumps({"value": address}), Reply(status=201), m.build_media_status("PROCESSING"))
    pending = linkedin.prepare(draft, m.account(), {})
    pending = linkedin.prepare(draft, m.account(), pending.checkpoint)
    pending = linkedin.prepare(draft, m.account(), pending.checkpoint)
    assert isinstance(pending, Pending)
    server.enqueue(m.build_media_status("AVAILABLE"), m.POSTED)
    ready = prepare_to_end(lambda: linkedin, draft, m.account(), pending.checkpoint)
    linkedin.finalize(draft, m.account(), ready)
    encoded = urn.replace(":", "%3A")
    assert server.calls == [
        "POST /api/rest/documents",
        "PUT /dms-uploads/1",
        *[f"GET /api/rest/documents/{encoded}"] * 2,
        "POST /api/rest/posts",
    ]
    put = server.requests[1]
    assert (put.headers["authorization"], len(put.body)) == (f"Bearer {m.TOKEN}", 5000)
    assert server.requests[-1].json()["content"] == {"media": {"id": urn, "title": "Catalogue"}}


OTHERS = [
    listed(createdAt=AT - 6_000),
    listed(createdAt=None),
    listed(commentary="Other words"),
    listed(content={"media": {"id": m.IMAGE}}),
    listed(content={"article": {"source": "https://example.com/other"}}),
]
"""Posts of the organization that are not a text without a link, sent when it was armed."""


@pytest.mark.parametrize(("options", "content"), [({}, None), ({"link": LINK}, CARD)], ids=["text", "link"])
def test_a_lost_text_is_the_only_post_with_its_words_and_link_after_arming(
    server: ScriptedServer, linkedin: LinkedIn, options: dict[str, str], content: dict[str, Any] | None
) -> None:
    draft, mine = m.text(**options), listed(content=content)

    def look(*posts: dict[str, Any], taken: tuple[str, ...] = ()) -> object:
        server.on("GET", "/api/rest/posts", m.build_listing(*posts))
        return linkedin.look(draft, m.account(), {}, ARMED, taken)

    found = look(*OTHERS, mine)
    assert found == Published(
        remote_id=m.SHARE, url=f"{server.url}/www/feed/update/{m.SHARE}/", is_searched=True
    )
    for posts in (OTHERS, [mine, listed("urn:li:share:2", content)], []):
        assert isinstance(look(*posts), CannotTell)
    assert isinstance(look(mine, taken=(m.SHARE,)), CannotTell)
    other = listed(content=None if content else CARD)
    assert isinstance(look(other), CannotTell), "with a card, or without one"


def test_a_members_text_is_left_to_a_person(server: ScriptedServer, linkedin: LinkedIn) -> None:
    result = linkedin.look(m.text(), m.account("person"), {}, ARMED, ())
    assert isinstance(result, CannotTell)
    assert result.is_final
    assert server.calls == []


@pytest.mark.parametrize(("words", "is_live"), [(m.CAPTION, True), ("Other words", False)])
def test_a_named_duplicate_of_a_text_is_live_only_with_its_words(
    server: ScriptedServer, linkedin: LinkedIn, words: str, *, is_live: bool
) -> None:
    again = LinkedIn.capabilities.keep_for_repetition({})
    server.enqueue(Reply(status=422, body=m.DUPLICATE))
    pending = linkedin.finalize(m.text(), m.account(), again)
    assert isinstance(pending, Pending)
    named = listed("urn:li:share:6789", commentary=words, createdAt=AT - 3_600_000)
    server.on("GET", "/api/rest/posts/urn%3Ali%3Ashare%3A6789", json.dumps(named))
    server.on("GET", "/api/rest/posts", m.build_listing())
    result = linkedin.look(m.text(), m.account(), pending.checkpoint, ARMED, ())
    assert isinstance(result, Published) is is_live
