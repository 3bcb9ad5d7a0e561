"""The one visible call, what its responses mean, and what a lost response leads to."""

from __future__ import annotations

import json
from collections.abc import Container
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapters.contract import CannotTell, Ended, Pending, Published
from adapters.error_table import time_until_utc_midnight
from adapters.errors import (
    OutcomeUnknown,
    RateLimited,
    Unavailable,
)
from adapters.http import HttpClient
from adapters.linkedin.adapter import LinkedIn
from adapters.linkedin.payload import escape_little_text
from tests.adapters.drafts import ARMED, NONE_TAKEN
from tests.adapters.linkedin import drafts as m
from tests.adapters.scripted_server import DROP, Reply, ScriptedServer

ORG = m.account()
MEMBER = m.account("person")
CHECKPOINT = m.build_done_checkpoint(m.IMAGE)


def test_an_image_post(server: ScriptedServer, linkedin: LinkedIn, client: HttpClient) -> None:
    server.enqueue(m.POSTED)
    published = linkedin.finalize(m.build_draft(), ORG, CHECKPOINT)
    assert published == Published(remote_id=m.SHARE, url=f"{server.url}/www/feed/update/{m.SHARE}/")
    assert client.calls == [("POST", f"{server.url}/api/rest/posts", True)]
    (asked,) = server.requests
    assert asked.headers["authorization"] == f"Bearer {m.TOKEN}"
    assert asked.headers["linkedin-version"] == m.VERSION
    assert asked.headers["x-restli-protocol-version"] == "2.0.0"
    assert asked.json() == {
        "author": m.ORG,
        "commentary": "Casa #tiles",
        "visibility": "PUBLIC",
        "distribution": {
            "feedDistribution": "MAIN_FEED",
            "targetEntities": [],
            "thirdPartyDistributionChannels": [],
        },
        "content": {"media": {"id": m.IMAGE}},
        "lifecycleState": "PUBLISHED",
        "isReshareDisabledByAuthor": False,
    }


def test_several_images_and_a_video(server: ScriptedServer, linkedin: LinkedIn) -> None:
    server.enqueue(m.POSTED, m.POSTED)
    linkedin.finalize(
        m.build_draft(m.image(), m.image()),
        MEMBER,
        m.build_done_checkpoint("urn:li:image:1", "urn:li:image:2"),
    )
    linkedin.finalize(m.build_draft(m.video()), MEMBER, m.build_done_checkpoint(m.VIDEO))
    several, one = server.requests
    assert several.json()["author"] == m.MEMBER
    assert several.json()["content"] == {
        "multiImage": {"images": [{"id": "urn:li:image:1"}, {"id": "urn:li:image:2"}]}
    }
    assert one.json()["content"] == {"media": {"id": m.VIDEO}}


def test_the_name_in_the_header_may_be_encoded(server: ScriptedServer, linkedin: LinkedIn) -> None:
    server.enqueue(Reply(status=201, body="", headers={"X-RestLi-Id": "urn%3Ali%3AugcPost%3A77"}))
    published = linkedin.finalize(m.build_draft(), ORG, CHECKPOINT)
    assert isinstance(published, Published)
    assert published.remote_id == "urn:li:ugcPost:77"


# --- refusals and silence --------------------------------------------------------------------------------------------


def test_media_not_ready_are_tried_again_soon_and_a_spent_day_tomorrow(
    server: ScriptedServer, linkedin: LinkedIn
) -> None:
    server.enqueue(m.build_error(400, "MEDIA_ASSET_WAITING_UPLOAD"), m.build_error(429, "TOO_MANY_REQUESTS"))
    with pytest.raises(Unavailable) as soon:
        linkedin.finalize(m.build_draft(), MEMBER, {**CHECKPOINT, "unreadable": True})
    assert soon.value.retry_after == timedelta(seconds=10)
    with pytest.raises(RateLimited) as late:
        linkedin.finalize(m.build_draft(), MEMBER, CHECKPOINT)
    assert late.value.retry_after is not None
    assert timedelta(0) < late.value.retry_after <= timedelta(days=1)
    assert time_until_utc_midnight(datetime(2026, 11, 24, 23, 59, 30, tzinfo=UTC)) == timedelta(seconds=30)


# --- looking ---------------------------------------------------------------------------------------------------------


def look(linkedin: LinkedIn, state: dict[str, Any] = CHECKPOINT, taken: Container[str] = NONE_TAKEN) -> Any:
    return linkedin.look(m.build_draft(), ORG, state, ARMED, taken)


def test_a_lost_answer_is_found_by_our_media(server: ScriptedServer, linkedin: LinkedIn) -> None:
    server.enqueue(
        DROP,
        m.build_listing(m.build_post("urn:li:share:1", "urn:li:image:other"), m.build_post(m.SHARE, m.IMAGE)),
    )
    with pytest.raises(OutcomeUnknown):
        linkedin.finalize(m.build_draft(), ORG, CHECKPOINT)
    assert look(linkedin) == Published(remote_id=m.SHARE, url=f"{server.url}/www/feed/update/{m.SHARE}/")
    asked = server.requests[1]
    assert (asked.method, asked.path) == ("GET", "/api/rest/posts")
    place = {"count": "100", "start": "0"}
    assert asked.query == {"q": "author", "author": m.ORG, "sortBy": "LAST_MODIFIED", **place}
    assert asked.headers["x-restli-method"] == "FINDER"


TWO = m.build_done_checkpoint("urn:li:image:1", "urn:li:image:2")


@pytest.mark.parametrize(
    ("state", "posts", "found"),
    [
        (
            CHECKPOINT,
            [m.build_post("urn:li:share:1", m.IMAGE, commentary="rendered otherwise")],
            "urn:li:share:1",
        ),
        (TWO, [m.build_post("urn:li:share:1", "urn:li:image:1", "urn:li:image:2")], "urn:li:share:1"),
        (TWO, [m.build_post("urn:li:share:1", "urn:li:image:2", "urn:li:image:1")], "urn:li:share:1"),
        (TWO, [m.build_post("urn:li:share:1", "urn:li:image:1")], None),  # another post of one of the two
        (
            CHECKPOINT,
            [m.build_post("urn:li:share:1", "urn:li:image:9")],
            None,
        ),  # the same text with other media
        (CHECKPOINT, [m.build_post("urn:li:share:1", content=None)], None),
        (CHECKPOINT, [], None),
        (
            CHECKPOINT,
            [
                m.build_post("urn:li:share:1", m.IMAGE),
                m.build_post("urn:li:share:2", m.IMAGE, commentary="other"),
            ],
            "urn:li:share:1",
        ),
        (
            CHECKPOINT,
            [m.build_post("urn:li:share:1", m.IMAGE), m.build_post("urn:li:share:2", m.IMAGE)],
            None,
        ),
    ],
)
def test_the_media_decide_and_the_text_tells_twins_apart(
    server: ScriptedServer,
    linkedin: LinkedIn,
    state: dict[str, Any],
    posts: list[dict[str, Any]],
    found: str | None,
) -> None:
    server.enqueue(m.build_listing(*posts))
    seen = look(linkedin, state)
    assert isinstance(seen, CannotTell) if found is None else seen.remote_id == found


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("PUBLISHED", Published),
        ("PUBLISH_REQUESTED", Pending),
        ("PUBLISH_FAILED", Ended),
        ("DRAFT", CannotTell),
    ],
)
def test_where_a_found_post_stands(
    server: ScriptedServer, linkedin: LinkedIn, state: str, kind: type[object]
) -> None:
    server.enqueue(m.build_listing(m.build_post(m.SHARE, m.IMAGE, lifecycleState=state)))
    assert isinstance(look(linkedin), kind)


def test_a_members_posts_cannot_be_listed(server: ScriptedServer, linkedin: LinkedIn) -> None:
    for seen in (
        linkedin.look(m.build_draft(), MEMBER, CHECKPOINT, ARMED, NONE_TAKEN),
        look(linkedin, {}),
    ):
        assert isinstance(seen, CannotTell)
        assert seen.is_final, "no later look can tell"
    assert server.requests == []


# --- little text -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("caption", "sent"),
    [
        ("plain text, with: everything! that's allowed? yes; 100% & more/less = fine", None),
        ("|{}@[]()<>#\\*_~", "\\|\\{\\}\\@\\[\\]\\(\\)\\<\\>\\#\\\\\\*\\_\\~"),
        ("#tiles and #Кафель, #2026goals", None),
        ("(#tiles)", "\\(#tiles\\)"),
        ("#my_tag", "#my\\_tag"),
        ("# not a tag, C#, #1, ##x, a#b", "\\# not a tag, C\\#, \\#1, \\#\\#x, a\\#b"),
        ("https://a.example/x_y#part", "https://a.example/x\\_y\\#part"),
        ("mail me@a.example", "mail me\\@a.example"),
        ("@[Casa](urn:li:organization:1)", "\\@\\[Casa\\]\\(urn:li:organization:1\\)"),
        ("{hashtag|\\#|x}", "\\{hashtag\\|\\\\\\#\\|x\\}"),
        ("two\nlines 🏠", None),
    ],
)
def test_reserved_signs_are_escaped_and_hashtags_kept(caption: str, sent: str | None) -> None:
    assert escape_little_text(caption) == (caption if sent is None else sent)


def test_the_caption_goes_out_escaped(server: ScriptedServer, linkedin: LinkedIn) -> None:
    server.enqueue(m.POSTED)
    linkedin.finalize(m.build_draft(caption="a (b) #c"), ORG, CHECKPOINT)
    assert server.requests[0].json()["commentary"] == "a \\(b\\) #c"
    assert json.loads(server.requests[0].body)["commentary"].count("\\") == 2
