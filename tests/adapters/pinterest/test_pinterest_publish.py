"""From a draft to one pin: every step, every interruption, every refusal."""

from __future__ import annotations

from datetime import timedelta
from email import message_from_bytes
from typing import Any

import pytest

from adapters.contract import Pending, Published, Ready
from adapters.errors import (
    RateLimited,
    Rejected,
    Unavailable,
)
from adapters.pinterest.adapter import Pinterest
from tests.adapters.drafts import ARMED, NONE_TAKEN, prepare_to_end, through_json
from tests.adapters.files import content
from tests.adapters.pinterest import drafts as m
from tests.adapters.scripted_server import DROP, Reply, ScriptedServer

UPLOADED = Reply(status=204, body="")
ACCOUNT = m.account()


# --- the pin ---------------------------------------------------------------------------------------------------------


def test_an_image_needs_no_request_before_its_pin(server: ScriptedServer, pinterest: Pinterest) -> None:
    ready = pinterest.prepare(m.post(), ACCOUNT, {})
    assert ready == Ready(checkpoint={"board_id": m.BOARD})
    server.enqueue(Reply(status=201, body=m.PIN))
    published = pinterest.finalize(m.post(), ACCOUNT, ready.checkpoint)
    assert published == Published(remote_id=m.PIN_ID, url=f"{server.url}/www/pin/{m.PIN_ID}/")
    assert server.calls == ["POST /v5/pins"]
    assert server.requests[0].headers["authorization"] == f"Bearer {m.TOKEN}"
    assert server.requests[0].json() == {
        "board_id": m.BOARD,
        "title": "Casa",
        "description": "Casa\nnew tiles",
        "media_source": {"source_type": "image_url", "url": "https://cdn.example.com/1.jpg"},
    }


SECTION = "77"
IN_SECTION = m.post(board_section_id=SECTION)
SECTION_PINS = f"GET /v5/boards/{m.BOARD}/sections/{SECTION}/pins"


def test_a_section_is_read_before_its_pin(server: ScriptedServer, pinterest: Pinterest) -> None:
    server.enqueue(m.page())
    checkpoint = prepare_to_end(lambda: pinterest, IN_SECTION, ACCOUNT)
    assert checkpoint == {"board_id": m.BOARD, "section_read": True}
    server.enqueue(Reply(status=201, body=m.PIN))
    pinterest.finalize(IN_SECTION, ACCOUNT, checkpoint)
    assert server.calls == [SECTION_PINS, "POST /v5/pins"]
    body = server.requests[1].json()
    assert (body["board_id"], body["board_section_id"]) == (m.BOARD, SECTION)


def test_a_section_that_the_board_does_not_have_is_refused_before_the_pin(
    server: ScriptedServer, pinterest: Pinterest
) -> None:
    server.enqueue(Reply(status=404, body=m.build_error(50, "Board section not found.")))
    with pytest.raises(Rejected) as refusal:
        pinterest.prepare(IN_SECTION, ACCOUNT, {})
    assert refusal.value.code == "section_not_found"
    with pytest.raises(Unavailable):  # nor is the pin made without the read
        pinterest.finalize(IN_SECTION, ACCOUNT, {"board_id": m.BOARD})
    assert server.calls == [SECTION_PINS]


def test_without_the_right_to_read_pins_the_section_is_not_checked(
    server: ScriptedServer, pinterest: Pinterest
) -> None:
    refused = m.build_error(29, "You are not permitted to access that resource.")
    server.enqueue(Reply(status=403, body=refused))
    assert prepare_to_end(lambda: pinterest, IN_SECTION, ACCOUNT)["section_read"] is True


def test_several_images_become_a_carousel_in_their_order(
    server: ScriptedServer, pinterest: Pinterest
) -> None:
    draft = m.post(m.image(1), m.image(2), m.image(3), link="https://shop.example.com/a?x=1#top")
    server.enqueue(Reply(status=201, body=m.PIN))
    pinterest.finalize(draft, ACCOUNT, prepare_to_end(lambda: pinterest, draft, ACCOUNT))
    link = f"https://shop.example.com/a?x=1&utm_content={m.DELIVERY}#top"
    assert server.requests[0].json()["link"] == link
    assert server.requests[0].json()["media_source"] == {
        "source_type": "multiple_image_urls",
        "items": [{"url": f"https://cdn.example.com/{n}.jpg", "link": link} for n in (1, 2, 3)],
        "index": 0,
    }


def test_the_default_board_is_taken_and_kept_with_the_publish(
    server: ScriptedServer, pinterest: Pinterest
) -> None:
    draft = m.post(board=None)
    ready = pinterest.prepare(draft, m.account(default_board="111"), {})
    server.enqueue(Reply(status=201, body=m.PIN), m.page())
    pinterest.finalize(draft, m.account(default_board="222"), ready.checkpoint)
    pinterest.look(draft, m.account(default_board="222"), ready.checkpoint, ARMED, NONE_TAKEN)
    assert server.requests[0].json()["board_id"] == "111"
    assert server.requests[1].path == "/v5/boards/111/pins"


def test_without_any_board_nothing_is_sent(server: ScriptedServer, pinterest: Pinterest) -> None:
    for call in (pinterest.prepare, pinterest.finalize):
        with pytest.raises(Rejected, match="casa has no default board"):
            call(m.post(board=None), ACCOUNT, {})
    assert server.requests == []


@pytest.mark.parametrize(
    ("caption", "options", "title", "description"),
    [
        ("One\nTwo", {}, "One", "One\nTwo"),
        ("One\nTwo", {"title": "Mine"}, "Mine", "One\nTwo"),
        (
            "One",
            {"tags": ["home decor", "#Tiles", "one-off", "home  decor", "!"]},
            "One",
            "One\n\n#homedecor #Tiles #oneoff",
        ),
        ("One #Tiles", {"tags": ["tiles"]}, "One #Tiles", "One #Tiles"),
        ("x" * 790, {"tags": ["four", "toolong", "five5"]}, "x" * 100, "x" * 790 + "\n\n#four"),
        ("word " * 30, {}, ("word " * 20).strip(), "word " * 30),
    ],
)
def test_texts(
    server: ScriptedServer,
    pinterest: Pinterest,
    caption: str,
    options: dict[str, Any],
    title: str,
    description: str,
) -> None:
    draft = m.post(caption=caption, **options)
    server.enqueue(Reply(status=201, body=m.PIN))
    pinterest.finalize(draft, ACCOUNT, {})
    assert (server.requests[0].json()["title"], server.requests[0].json()["description"]) == (
        title,
        description,
    )


@pytest.mark.parametrize(
    ("link", "sent"),
    [
        ("https://a.example", "https://a.example?utm_content=ID"),
        ("https://a.example/?utm_content=spring", "https://a.example/?utm_content=spring&slipway=ID"),
        ("https://a.example/?utm_content=&slipway=2", "https://a.example/?utm_content=&slipway=2"),
        ("https://a.example/?q=%20%2F+b&", "https://a.example/?q=%20%2F+b&&utm_content=ID"),
        ("https://a.example/" + "p" * 2000, "https://a.example/" + "p" * 2000),  # no room left for the mark
    ],
)
def test_the_link_carries_the_delivery_and_is_otherwise_untouched(
    server: ScriptedServer, pinterest: Pinterest, link: str, sent: str
) -> None:
    server.enqueue(Reply(status=201, body=m.PIN))
    pinterest.finalize(m.post(link=link), ACCOUNT, {})
    assert server.requests[0].json()["link"] == sent.replace("ID", m.DELIVERY)


# --- video -----------------------------------------------------------------------------------------------------------


def test_a_video_is_registered_sent_and_waited_for(server: ScriptedServer, pinterest: Pinterest) -> None:
    draft = m.post(m.video())
    server.enqueue(
        Reply(status=201, body=m.REGISTERED),
        UPLOADED,
        m.build_media_status("registered"),
        m.build_media_status("processing"),
        m.build_media_status("succeeded"),
        Reply(status=201, body=m.PIN),
    )
    ready = prepare_to_end(lambda: pinterest, draft, ACCOUNT)
    assert pinterest.prepare(draft, ACCOUNT, ready) == Ready(checkpoint=ready), (
        "ready stays ready, without a request"
    )
    assert isinstance(pinterest.finalize(draft, ACCOUNT, ready), Published)
    assert server.calls == [
        "POST /v5/media",
        "POST /s3/",
        "GET /v5/media/12345",
        "GET /v5/media/12345",
        "GET /v5/media/12345",
        "POST /v5/pins",
    ]
    assert server.requests[0].json() == {"media_type": "video"}
    assert server.requests[5].json()["media_source"] == {
        "source_type": "video_id",
        "media_id": "12345",
        "cover_image_key_frame_time": 1,
    }
    assert m.SIGNATURE not in str(ready), "an upload's secrets are dropped when it is done"


def test_the_form_has_every_parameter_then_the_file_and_no_token(
    server: ScriptedServer, pinterest: Pinterest
) -> None:
    draft = m.post(m.video(size=100_001))
    server.enqueue(Reply(status=201, body=m.REGISTERED), UPLOADED)
    pinterest.prepare(draft, ACCOUNT, through_json(pinterest.prepare(draft, ACCOUNT, {}).checkpoint))
    sent = server.requests[1]
    assert "authorization" not in sent.headers
    assert int(sent.headers["content-length"]) == len(sent.body)
    head = f"Content-Type: {sent.headers['content-type']}\r\n\r\n".encode()
    parts = message_from_bytes(head + sent.body).get_payload()
    assert isinstance(parts, list)
    names = [part.get_param("name", header="content-disposition") for part in parts]  # type: ignore[union-attr]
    assert names == [
        "x-amz-date",
        "x-amz-signature",
        "x-amz-security-token",
        "x-amz-algorithm",
        "key",
        "policy",
        "x-amz-credential",
        "Content-Type",
        "file",
    ]
    assert b'name="key"\r\n\r\nuploads/\xe2\x80\xa6\r\n' in sent.body
    file = sent.body.split(b"Content-Type: video/mp4\r\n\r\n", 1)[1].rsplit(b"\r\n--", 1)[0]
    assert file == content(0, 100_001)


@pytest.mark.parametrize(
    "cut", [DROP, Reply(status=403, body=m.S3_EXPIRED), Reply(status=503, body="<Error/>")]
)
def test_an_upload_that_broke_off_is_begun_anew(
    server: ScriptedServer, pinterest: Pinterest, cut: Reply
) -> None:
    draft = m.post(m.video())
    server.enqueue(Reply(status=201, body=m.REGISTERED), cut)
    first = pinterest.prepare(draft, ACCOUNT, {})
    broken = pinterest.prepare(draft, ACCOUNT, through_json(first.checkpoint))
    assert broken == Pending(checkpoint={"board_id": m.BOARD, "restarts": 1}, wait=timedelta(seconds=30))
    assert pinterest.look(draft, ACCOUNT, broken.checkpoint, None, NONE_TAKEN) == Ready(
        checkpoint=broken.checkpoint
    )


SENT = {"board_id": m.BOARD, "media_id": "12345", "sent": True}


def test_a_video_that_failed_is_refused_by_prepare_and_ended_for_look(
    server: ScriptedServer, pinterest: Pinterest
) -> None:
    server.enqueue(m.build_media_status("failed"), m.build_media_status("failed"))
    with pytest.raises(Rejected, match="could not process"):
        pinterest.prepare(m.post(m.video()), ACCOUNT, SENT)
    seen = pinterest.look(m.post(m.video()), ACCOUNT, SENT, None, NONE_TAKEN)
    assert isinstance(getattr(seen, "error", None), Rejected)


def test_media_that_is_not_found_is_waited_for_then_sent_anew(
    server: ScriptedServer, pinterest: Pinterest
) -> None:
    gone = Reply(status=404, body=m.build_error(50, "Media not found."))
    server.enqueue(gone, gone)
    assert pinterest.prepare(m.post(m.video()), ACCOUNT, SENT).checkpoint == {**SENT, "polls": 1}
    anew = pinterest.prepare(m.post(m.video()), ACCOUNT, {**SENT, "polls": 3})
    assert anew.checkpoint == {"board_id": m.BOARD, "restarts": 1}


# --- refusals and silence --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 60),
        ({"Retry-After": "7"}, 7),
        ({"x-ratelimit-reset": "33"}, 33),
        ({"x-ratelimit-reset": "1764000000"}, 60),  # a time of day instead of seconds is not believed
        ({"Retry-After": "soon"}, 60),
    ],
)
def test_how_long_a_busy_pinterest_asks_to_wait(
    server: ScriptedServer, pinterest: Pinterest, headers: dict[str, str], seconds: int
) -> None:
    server.enqueue(Reply(status=429, body=m.build_error(8, "…"), headers=headers))
    with pytest.raises(RateLimited) as raised:
        pinterest.finalize(m.post(), ACCOUNT, {})
    assert raised.value.retry_after == timedelta(seconds=seconds)
