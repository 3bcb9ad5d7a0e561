"""Reels and videos: the start, the bytes, the finish, and what the status proves."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from adapters.contract import Absent, Draft, Ended, Pending, PrepareResult, Published, Ready
from adapters.errors import AdapterError, Rejected, Unavailable, Unsupported
from adapters.facebook.adapter import Facebook
from adapters.facebook.checkpoint import PostKind, get_post_kind
from adapters.http import HttpClient
from tests.adapters.drafts import NONE_TAKEN
from tests.adapters.facebook.drafts import (
    ARMED,
    HALF_UP,
    LIVE,
    PAGE,
    REEL_STARTED,
    SUCCESS,
    TOKEN,
    TOO_LOW,
    UP,
    VIDEO_STARTED,
    account,
    build_settings,
    landscape,
    reel,
    video,
    video_status,
)
from tests.adapters.instagram.graph_error import build_error
from tests.adapters.scripted_server import Reply, ScriptedServer

UPLOAD_URL = "https://rupload.facebook.com/video-upload/v25.0/123"
STARTED = {"video_id": "123", "upload_url": UPLOAD_URL}
SENT = {**STARTED, "offset": 0, "sent": True}
SESSION = {"video_id": "123", "session": "777", "start": 1000, "end": 1000}


def run(facebook: Facebook, draft: Draft) -> list[PrepareResult]:
    result: list[PrepareResult] = [Pending(checkpoint={})]
    while isinstance(result[-1], Pending):
        assert len(result) < 30
        result.append(facebook.prepare(draft, account(), json.loads(json.dumps(dict(result[-1].checkpoint)))))
    return result


@pytest.mark.parametrize(
    ("facts", "shape"),
    [
        ({}, PostKind.REEL),
        ({"duration": 90.0, "fps": 60.0, "width": 540, "height": 960, "codec": "av1"}, PostKind.REEL),
        ({"fps": None, "codec": None}, PostKind.REEL),
        ({"duration": 90.1}, PostKind.VIDEO),
        ({"duration": 2.9}, PostKind.VIDEO),
        ({"width": 1920, "height": 1080}, PostKind.VIDEO),
        ({"width": 480, "height": 854}, PostKind.VIDEO),
        ({"fps": 23.0}, PostKind.VIDEO),
        ({"content_type": "video/quicktime"}, PostKind.VIDEO),
        ({"codec": "mpeg4"}, PostKind.VIDEO),
        ({"width": None}, PostKind.VIDEO),
        ({"duration": None}, PostKind.VIDEO),
    ],
)
def test_what_fits_a_reel_becomes_one(facts: dict[str, Any], shape: PostKind) -> None:
    assert get_post_kind(reel(video(**facts))) is shape


# --- reels -----------------------------------------------------------------------------------------------------------


def test_a_reel_is_pulled_by_url(server: ScriptedServer, facebook: Facebook) -> None:
    server.enqueue(REEL_STARTED, video_status("uploading").replace("completed", "not_started"), SUCCESS, UP)
    result = run(facebook, reel())
    assert result[-1] == Ready(checkpoint=SENT)
    assert server.calls == [
        f"POST /graph/v25.0/{PAGE}/video_reels",
        "GET /graph/v25.0/123",
        "POST /rupload/video-upload/v25.0/123",
        "GET /graph/v25.0/123",
    ]
    assert server.requests[0].json() == {"upload_phase": "start"}
    assert server.requests[2].headers["file_url"] == "https://cdn.example.com/v.mp4"
    assert server.requests[2].headers["authorization"] == f"OAuth {TOKEN}"


def test_a_reels_bytes_go_on_where_they_were_cut(server: ScriptedServer, client: HttpClient) -> None:
    adapter = Facebook(client, build_settings(server.url, byte_upload=True))
    content = bytes(range(250)) * 4
    server.enqueue(REEL_STARTED, HALF_UP.replace("400", "0"), Reply(drop=True), HALF_UP, SUCCESS, UP)
    result = run(adapter, reel(video(content)))
    assert isinstance(result[3], Pending)
    assert result[3] == Pending(checkpoint={**STARTED, "cuts": 1}, wait=timedelta(seconds=10))
    first, second = server.requests[2], server.requests[4]
    assert (first.headers["offset"], first.body) == ("0", content)
    assert (second.headers["offset"], second.headers["file_size"]) == ("400", "1000")
    assert second.body == content[400:]


def test_bytes_that_arrived_although_cut_are_not_sent_again(
    server: ScriptedServer, facebook: Facebook
) -> None:
    server.enqueue(UP)
    result = facebook.prepare(reel(), account(), {**STARTED, "cuts": 1})
    assert isinstance(result, Ready)


@pytest.mark.parametrize("look", [False, True])
def test_an_error_object_counts_whatever_the_phase_says(
    server: ScriptedServer, facebook: Facebook, look: bool
) -> None:
    server.enqueue(TOO_LOW)
    if look:
        result = facebook.look(reel(), account(), SENT, None, NONE_TAKEN)
        assert isinstance(result, Ended)
        assert type(result.error) is Rejected
    else:
        with pytest.raises(Rejected):
            facebook.prepare(reel(), account(), SENT)


@pytest.mark.parametrize("word", ["upload_failed", "expired"])
def test_a_failed_upload_is_begun_anew(server: ScriptedServer, facebook: Facebook, word: str) -> None:
    server.enqueue(video_status(word))
    result = facebook.prepare(reel(), account(), SENT)
    assert result == Pending(checkpoint={"restarts": 1}, wait=timedelta(seconds=30))


def test_finishing_a_reel_is_one_request(
    server: ScriptedServer, facebook: Facebook, client: HttpClient
) -> None:
    server.enqueue(SUCCESS)
    result = facebook.finalize(reel(), account(), SENT)
    assert result == Pending(checkpoint={**SENT, "accepted": True}, wait=timedelta(seconds=5))
    assert server.calls == [f"POST /graph/v25.0/{PAGE}/video_reels"]
    assert server.requests[0].json() == {
        "upload_phase": "finish",
        "video_id": "123",
        "video_state": "PUBLISHED",
        "description": "A reel",
    }
    assert [visible for _, _, visible in client.calls] == [True]


# --- videos ----------------------------------------------------------------------------------------------------------


def test_a_video_goes_up_in_the_chunks_that_are_asked_for(server: ScriptedServer, facebook: Facebook) -> None:
    content = bytes(range(250)) * 4
    server.enqueue(
        VIDEO_STARTED.replace("1048576", "600"),
        '{"start_offset":"600","end_offset":"1000"}',
        '{"start_offset":"1000","end_offset":"1000"}',
    )
    result = run(facebook, landscape(content))
    assert result[-1] == Ready(checkpoint=SESSION)
    assert server.calls == [f"POST /graph_video/v25.0/{PAGE}/videos"] * 3
    assert server.requests[0].json() == {"upload_phase": "start", "file_size": 1000}
    for asked, first, last in ((server.requests[1], 0, 600), (server.requests[2], 600, 1000)):
        parts = asked.body.split(asked.headers["content-type"].partition("boundary=")[2].encode())
        assert b'name="upload_phase"\r\n\r\ntransfer\r\n' in parts[1]
        assert b'name="upload_session_id"\r\n\r\n777\r\n' in parts[2]
        assert f'name="start_offset"\r\n\r\n{first}\r\n'.encode() in parts[3]
        assert parts[4].partition(b"\r\n\r\n")[2] == content[first:last] + b"\r\n--"
        assert int(asked.headers["content-length"]) == len(asked.body)


@pytest.mark.parametrize(
    "data", ['{"start_offset":600,"end_offset":1000}', '"{\\"start_offset\\":600,\\"end_offset\\":1000}"']
)
def test_a_chunk_that_had_arrived_is_not_an_error(
    server: ScriptedServer, facebook: Facebook, data: str
) -> None:
    error = build_error(6001, 1363037).replace('"is_transient"', f'"error_data": {data}, "is_transient"')
    server.enqueue(Reply(status=400, body=error))
    result = facebook.prepare(landscape(), account(), {**SESSION, "start": 0, "end": 600})
    assert result == Pending(checkpoint={**SESSION, "start": 600, "end": 1000})


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Reply(drop=True), Unavailable),
        (Reply(status=500), Unavailable),
        (Reply(status=400, body=build_error(6001)), Unavailable),
        (Reply(status=400, body=build_error(6001, 1363037)), Unavailable),
        (Reply(status=400, body=build_error(6000)), Rejected),
    ],
)
def test_a_refused_chunk(
    server: ScriptedServer, facebook: Facebook, answer: Reply, expected: type[AdapterError]
) -> None:
    server.enqueue(answer)
    with pytest.raises(expected):
        facebook.prepare(landscape(), account(), {**SESSION, "start": 0, "end": 600})


def test_known_bytes_are_skipped(server: ScriptedServer, facebook: Facebook) -> None:
    server.enqueue(VIDEO_STARTED.replace("}", ',"skip_upload":true}'))
    result = run(facebook, landscape())
    assert result[-1] == Ready(checkpoint={"video_id": "123", "session": "777"})


def test_finishing_a_video_is_one_request(server: ScriptedServer, facebook: Facebook) -> None:
    server.enqueue(SUCCESS)
    result = facebook.finalize(landscape(), account(), SESSION)
    assert result == Pending(checkpoint={**SESSION, "accepted": True}, wait=timedelta(seconds=5))
    assert server.calls == [f"POST /graph_video/v25.0/{PAGE}/videos"]
    assert server.requests[0].json() == {
        "upload_phase": "finish",
        "upload_session_id": "777",
        "description": "A reel",
    }


def test_a_video_without_bytes_at_hand_is_unsupported(server: ScriptedServer, facebook: Facebook) -> None:
    draft = landscape()
    bare = replace(draft, media=(replace(draft.media[0], stream=None),))
    with pytest.raises(Unsupported):
        facebook.prepare(bare, account(), {})
    assert server.requests == []


# --- look ------------------------------------------------------------------------------------------------------------

NOT_STARTED = '"status":"not_started"'
TOLD = '"status":"not_started","publish_status":"published"'


@pytest.mark.parametrize("draft", [reel(), landscape()])
def test_live_is_published_under_the_video_id(
    server: ScriptedServer, facebook: Facebook, draft: Draft
) -> None:
    server.enqueue(LIVE)
    result = facebook.look(draft, account(), SENT, ARMED, NONE_TAKEN)
    assert result == Published(remote_id="123", url=f"{server.url}/www/reel/123/")
    assert server.requests[0].query == {"fields": "status,published,post_id,permalink_url,created_time"}


@pytest.mark.parametrize(
    ("answer", "accepted", "expected"),
    [
        (video_status("processing", TOLD), False, Pending),
        (video_status("processing", NOT_STARTED), False, Pending),
        (video_status("ready", TOLD, processing="complete"), False, Pending),
        (video_status("ready", '"status":"in_progress"'), False, Pending),
        (video_status("upload_complete", NOT_STARTED), True, Pending),
        (video_status("upload_complete", NOT_STARTED), False, Absent),
        (video_status("ready", NOT_STARTED, processing="complete"), False, Absent),
        ('{"status":{"video_status":"uploading"},"published":false}', False, Absent),
        ('{"status":{"video_status":"ready"},"published":true}', False, Published),
        ('{"status":{"video_status":"ready"},"published":false}', False, Absent),
        (TOO_LOW, True, Ended),
        (video_status("upload_failed"), True, Ended),
        (video_status("error"), True, Ended),
        (video_status("expired"), False, Ended),
        (video_status("ready", '"status":"error","publish_status":"error"'), True, Ended),
    ],
)
def test_what_a_status_means_after_arming(
    server: ScriptedServer, facebook: Facebook, answer: str, accepted: bool, expected: type[object]
) -> None:
    server.enqueue(answer)
    state = {**SENT, "accepted": True} if accepted else SENT
    result = facebook.look(reel(), account(), state, ARMED, NONE_TAKEN)
    assert type(result) is expected
    if isinstance(result, Absent):
        assert result.checkpoint == {**SENT, "again": True}


def test_unarmed_a_sent_reel_is_read_and_an_unsent_one_goes_back(
    server: ScriptedServer, facebook: Facebook
) -> None:
    server.enqueue(HALF_UP, UP)
    result = facebook.look(reel(), account(), SENT, None, NONE_TAKEN)
    assert result == Pending(checkpoint={**SENT, "polls": 1}, wait=timedelta(seconds=5))
    assert facebook.look(reel(), account(), SENT, None, NONE_TAKEN) == Ready(checkpoint=SENT)
    unsent = {**STARTED, "offset": 0}
    assert facebook.look(reel(), account(), unsent, None, NONE_TAKEN) == Ready(checkpoint=unsent)


def test_unarmed_but_live_is_published(server: ScriptedServer, facebook: Facebook) -> None:
    server.enqueue(LIVE, LIVE)
    assert isinstance(facebook.look(reel(), account(), SENT, None, NONE_TAKEN), Published)
    assert isinstance(facebook.prepare(reel(), account(), SENT), Pending)
