"""Saved lists of posts: their pages, captions, media and settings, and files that are none."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.imports import saved_lists
from pipeline.imports.saved_lists import ListReader, UnreadableList

POST = {
    "id": "a",
    "content": "Words",
    "publishDate": "2031-05-04T10:00:00.000Z",
    "state": "QUEUE",
    "settings": {"__type": "tiktok"},
    "image": [],
    "integration": {"id": "i", "providerIdentifier": "tiktok", "name": "acme"},
}


def read(data: Any, *without: str) -> list[dict[str, Any]]:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    reader = ListReader(product="postiz", ours=(), theirs=["i=tiktok:acme"], without=without)
    return list(reader.read(raw))


def read_one(**fields: Any) -> dict[str, Any]:
    (row,) = read({"posts": [{**POST, **fields}]})
    return row


@pytest.mark.parametrize(
    "data",
    [
        {"posts": [POST, POST]},
        [{"posts": [POST]}, {"posts": [POST]}],
        [POST, POST],
        b"\n".join(json.dumps({"posts": [POST]}).encode() for _ in range(2)),
        json.dumps({"posts": [POST, POST]}, indent=2).encode(),
        {"data": {"posts": [POST, POST]}},
    ],
)
def test_pages_are_read_in_any_form(data: Any) -> None:
    assert [row["external_id"] for row in read(data)] == ["postiz:a", "postiz:a"]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "The file is empty."),
        (b"{", "The file: It is not JSON"),
        (b'{"posts": []}\n{"posts": NaN}', "Line 2: NaN is not JSON"),
        (b"[" * 40 + b"]" * 40, "nested deeper than 32 levels"),
        (b'{"posts": [{"id": 7}]}', "each with its id"),
        (b'{"posts": ["a"]}', "each with its id"),
        (b'{"message": "Unauthorized"}', "no list of posts"),
        (b"17", "no list of posts"),
    ],
)
def test_a_file_that_is_no_list_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(UnreadableList) as refused:
        read(data)
    assert why in str(refused.value)


def test_a_file_over_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saved_lists, "MAX_BYTES", 20)
    with pytest.raises(UnreadableList, match="more than 20 bytes"):
        read({"posts": [POST]})


@pytest.mark.parametrize(
    ("content", "caption", "refused"),
    [
        ("1 < 2 &amp; <3", "1 < 2 &amp; <3", []),
        ("<p>a &lt;b&gt; &amp;&nbsp;c</p><p></p><p>d<br>e</p>", "a <b> & c\n\nd\ne", []),
        ("<h1>T</h1><ul><li><p>x</p></li><li>y</li></ul>", "T\n- x\n- y", []),
        ('<p><a href="https://a.example/?x=1&amp;y=2">https://a.example/?x=1&amp;y=2</a></p>', None, []),
        ('<p><a href="https://a.example/">here</a></p>', "here", ["https://a.example/"]),
        ('<p>Hi <span data-mention-id="urn:1">@Bo</span></p>', "Hi @Bo", ["urn:1"]),
        ('<p>a<img src="https://a.example/1.png"><b>c</b></p>', "ac", ["https://a.example/1.png", "b"]),
        ("<p>" + "<a " * 100_000, "<a " * 100_000, []),
        (7, 7, []),
    ],
)
def test_a_caption_becomes_plain_text(content: Any, caption: Any, refused: list[str]) -> None:
    row = read_one(content=content)
    assert row["caption"] == (caption or "https://a.example/?x=1&y=2")
    assert row["refused"] == [["content", "It has no counterpart in plain text.", one] for one in refused]


@pytest.mark.parametrize(
    ("image", "media", "refused"),
    [
        (None, {"type": "text"}, []),
        ("[]", {"type": "text"}, []),
        ([{"path": "https://a.example/1.png", "id": "x"}], {"type": "slideshow"}, []),
        ([{"path": "1.mp4", "alt": "A"}], {"type": "video", "url": "1.mp4"}, ["image.alt"]),
        ("nonsense", {"type": "text"}, ["image"]),
        ([7], {}, ["image"]),
        ([{"path": "https://a.example/file"}], {}, ["image"]),
    ],
)
def test_media_have_a_type_by_their_names(image: Any, media: dict[str, str], refused: list[str]) -> None:
    row = read_one(image=image)
    assert row["media"].items() >= media.items()
    assert [path for path, _, _ in row["refused"]] == refused


@pytest.mark.parametrize(
    ("settings", "section", "refused"),
    [
        ("{}", {}, []),
        ({"autoAddMusic": "yes", "title": ""}, {"auto_add_music": True}, []),
        ({"autoAddMusic": "maybe"}, {}, ["settings.autoAddMusic"]),
        ({"unknown": False, "other": 0.5}, {}, ["settings.other"]),
        ("{", {}, ["settings."]),
        (["a"], {}, ["settings."]),
    ],
)
def test_settings_are_mapped_or_refused(settings: Any, section: dict[str, Any], refused: list[str]) -> None:
    row = read_one(settings=settings)
    assert (row.get("tiktok", {}), [path for path, _, _ in row["refused"]]) == (section, refused)


def test_a_draft_in_the_inbox_and_tags_have_their_counterparts() -> None:
    tags = [{"value": "a", "label": "A"}]
    youtube = {"id": "i", "providerIdentifier": "youtube", "name": "acme"}
    assert read_one(integration=youtube, settings={"tags": tags})["youtube"] == {"tags": ["A"]}
    assert read_one(settings={"content_posting_method": "UPLOAD"})["tiktok"] == {"post_mode": "MEDIA_UPLOAD"}


def test_other_shapes_are_refused_and_break_nothing() -> None:
    shapes: list[Any] = [None, [], "x", {"providerIdentifier": []}]
    for integration in shapes:
        assert read_one(integration=integration)["refused"][0][0] == "integration.providerIdentifier"
    assert read_one(publishDate=7)["scheduled_at"] == 7
    assert read_one(childrenPost=[{"content": "Second"}])["refused"][0][0] == "childrenPost"
