"""``prepare``: containers, one request per call, resumable from every checkpoint."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from adapters.contract import Account, Draft, Pending, PrepareResult, Ready
from adapters.errors import (
    AdapterError,
    PermissionMissing,
    RateLimited,
    Rejected,
    Unavailable,
)
from adapters.http import HttpClient
from adapters.instagram.adapter import Instagram
from tests.adapters.instagram.drafts import (
    CONTAINER,
    CREATED,
    FINISHED,
    IG,
    QUOTA,
    RESUMABLE,
    TOKEN,
    UPLOAD_FAILED,
    UPLOADED,
    account,
    build_settings,
    carousel,
    photo_post,
    reel,
    status,
    video,
)
from tests.adapters.instagram.graph_error import build_error
from tests.adapters.scripted_server import Reply, ScriptedServer


def run(instagram: Instagram, draft: Draft, owner: Account, start: Mapping[str, Any]) -> list[PrepareResult]:
    """Call ``prepare`` until Ready, as the pipeline does, each time with a checkpoint that went through JSON."""
    result: list[PrepareResult] = []
    checkpoint = start
    while not result or isinstance(result[-1], Pending):
        result.append(instagram.prepare(draft, owner, json.loads(json.dumps(dict(checkpoint)))))
        checkpoint = result[-1].checkpoint
        assert len(result) < 30
    return result


def created(container: str) -> str:
    return f'{{"id":"{container}"}}'


@pytest.mark.parametrize(
    ("post", "body"),
    [
        (photo_post(), {"media_type": "STORIES", "image_url": "https://cdn.example.com/1.jpg"}),
        (reel(), {"media_type": "STORIES", "video_url": "https://cdn.example.com/v.mp4"}),
    ],
)
def test_a_story_carries_its_file_and_its_label_only(
    server: ScriptedServer, instagram: Instagram, post: Draft, body: dict[str, Any]
) -> None:
    server.enqueue(QUOTA, CREATED, FINISHED)
    media = (replace(post.media[0], alt_text="A mug"),)
    draft = replace(post, media=media, cover=1.0, ai_generated=True, options={"placement": "story"})
    assert isinstance(run(instagram, draft, account(), {})[-1], Ready)
    assert server.requests[1].json() == {**body, "is_ai_generated": True}


def test_an_image_post_is_quota_container_polls_and_ready(
    server: ScriptedServer, instagram: Instagram
) -> None:
    server.enqueue(QUOTA, CREATED, status("IN_PROGRESS"), FINISHED)
    result = run(instagram, photo_post(), account(), {})
    assert [answer for answer in result if isinstance(answer, Ready)] == [
        Ready(checkpoint={"quota_read": True, "container": CONTAINER})
    ]
    assert server.calls == [
        f"GET /graph/v25.0/{IG}/content_publishing_limit",
        f"POST /graph/v25.0/{IG}/media",
        f"GET /graph/v25.0/{CONTAINER}",
        f"GET /graph/v25.0/{CONTAINER}",
    ]
    assert server.requests[0].query == {"fields": "quota_usage,config"}
    assert server.requests[1].json() == {
        "image_url": "https://cdn.example.com/1.jpg",
        "caption": "One picture",
    }
    assert server.requests[2].query == {"fields": "status_code,status"}
    assert {asked.headers["authorization"] for asked in server.requests} == {f"Bearer {TOKEN}"}
    waits = [answer.wait for answer in result if isinstance(answer, Pending)]
    assert waits == [timedelta(0), timedelta(seconds=1), timedelta(seconds=1)]


def test_a_reel_is_pulled_by_url(server: ScriptedServer, instagram: Instagram) -> None:
    server.enqueue(QUOTA, CREATED, FINISHED)
    run(instagram, reel(), account(), {})
    assert server.requests[1].json() == {
        "media_type": "REELS",
        "video_url": "https://cdn.example.com/v.mp4",
        "caption": "A reel",
    }


def test_a_carousel_makes_children_reads_them_then_makes_the_parent(
    server: ScriptedServer, instagram: Instagram
) -> None:
    server.enqueue(
        QUOTA,
        created("c1"),
        created("c2"),
        status("IN_PROGRESS"),
        status("FINISHED"),
        status("FINISHED"),
        created("parent"),
        status("FINISHED"),
    )
    run(instagram, carousel(), account(), {})
    paths = [asked.path.removeprefix("/graph/v25.0/") for asked in server.requests]
    assert paths == [
        f"{IG}/content_publishing_limit",
        *[f"{IG}/media"] * 2,
        "c1",
        "c1",
        "c2",
        f"{IG}/media",
        "parent",
    ]
    assert server.requests[1].json() == {
        "is_carousel_item": True,
        "image_url": "https://cdn.example.com/1.jpg",
    }
    assert server.requests[2].json()["image_url"] == "https://cdn.example.com/2.jpg"
    assert server.requests[6].json() == {
        "media_type": "CAROUSEL",
        "children": "c1,c2",
        "caption": "Several pictures",
    }


def test_a_video_in_a_carousel_is_a_video_child(server: ScriptedServer, instagram: Instagram) -> None:
    server.enqueue(CREATED)
    draft = Draft(delivery_id="d", caption="x", kind="slideshow", media=(*carousel().media[:1], video()))
    instagram.prepare(draft, account(), {"quota_read": True, "children": ["c1"]})
    assert server.requests[0].json() == {
        "is_carousel_item": True,
        "media_type": "VIDEO",
        "video_url": "https://cdn.example.com/v.mp4",
    }


def test_bytes_go_up_through_rupload_on_facebook_login(server: ScriptedServer, client: HttpClient) -> None:
    adapter = Instagram(client, build_settings(server.url, byte_upload=True))
    server.enqueue(QUOTA, RESUMABLE, UPLOADED, status("IN_PROGRESS"), FINISHED)
    run(adapter, reel(video(b"0123456789" * 100)), account("facebook_login"), {})
    assert server.requests[1].path == f"/facebook_graph/v25.0/{IG}/media"
    assert server.requests[1].json() == {
        "media_type": "REELS",
        "upload_type": "resumable",
        "caption": "A reel",
    }
    sent = server.requests[2]
    assert sent.path == f"/rupload/ig-api-upload/v25.0/{CONTAINER}"
    assert sent.body == b"0123456789" * 100
    assert (sent.headers["offset"], sent.headers["file_size"]) == ("0", "1000")
    assert sent.headers["authorization"] == f"OAuth {TOKEN}"


@pytest.mark.parametrize(("connection", "wanted"), [("instagram_login", True), ("facebook_login", False)])
def test_bytes_are_not_sent_where_the_connection_cannot_or_nobody_asked(
    server: ScriptedServer, client: HttpClient, connection: str, wanted: bool
) -> None:
    server.enqueue(CREATED)
    adapter = Instagram(client, build_settings(server.url, byte_upload=wanted))
    adapter.prepare(reel(), account(connection), {"quota_read": True})
    assert "video_url" in server.requests[0].json()


@pytest.mark.parametrize(
    "answer",
    [
        Reply(drop=True),
        Reply(status=500, body=""),
        Reply(
            status=400, body='{"debug_info":{"retriable":true,"type":"PartialRequestError","message":"…"}}'
        ),
        Reply(
            status=400, body='{"debug_info":{"retriable":false,"type":"OffsetInvalidError","message":"…"}}'
        ),
    ],
)
def test_a_cut_upload_starts_a_new_container(
    server: ScriptedServer, client: HttpClient, answer: Reply
) -> None:
    adapter = Instagram(client, build_settings(server.url, byte_upload=True))
    server.enqueue(answer)
    state = {"quota_read": True, "container": CONTAINER, "upload_uri": f"{server.url}/ig-api-upload/1"}
    result = adapter.prepare(reel(), account("facebook_login"), state)
    assert result == Pending(checkpoint={"restarts": 1}, wait=timedelta(seconds=30))


def test_a_file_that_instagram_cannot_process_is_rejected(server: ScriptedServer, client: HttpClient) -> None:
    adapter = Instagram(client, build_settings(server.url, byte_upload=True))
    server.enqueue(Reply(status=400, body=UPLOAD_FAILED), Reply(status=400, body=UPLOAD_FAILED))
    state = {"container": CONTAINER, "upload_uri": f"{server.url}/ig-api-upload/1"}
    first = adapter.prepare(
        reel(), account("facebook_login"), state
    )  # it may be the repetition of one that arrived
    assert first == Pending(checkpoint={"restarts": 1}, wait=timedelta(seconds=30))
    with pytest.raises(Rejected):
        adapter.prepare(reel(), account("facebook_login"), {**state, "restarts": 1})


@pytest.mark.parametrize(
    ("status", "expected"),
    [(401, AdapterError), (403, PermissionMissing), (429, AdapterError), (418, AdapterError)],
)
def test_other_refusals_of_an_upload(
    server: ScriptedServer, client: HttpClient, status: int, expected: type[AdapterError]
) -> None:
    adapter = Instagram(client, build_settings(server.url, byte_upload=True))
    body = '{"debug_info":{"retriable":false,"type":"NotAuthorizedError","message":"…"}}'
    server.enqueue(Reply(status=status, body=body))
    state = {"container": CONTAINER, "upload_uri": f"{server.url}/rupload/ig-api-upload/1"}
    with pytest.raises(expected) as caught:
        adapter.prepare(reel(), account("facebook_login"), state)
    assert type(caught.value) is expected
    assert server.calls == ["POST /rupload/ig-api-upload/1"]


# --- quota and allowance ---------------------------------------------------------------------------------------------


def test_an_exhausted_quota_waits_and_makes_no_container(
    server: ScriptedServer, instagram: Instagram
) -> None:
    server.enqueue(QUOTA.replace('"quota_usage":2', '"quota_usage":50'))
    with pytest.raises(RateLimited) as caught:
        instagram.prepare(photo_post(), account(), {})
    assert caught.value.code == "quota_exhausted"
    assert caught.value.retry_after == timedelta(hours=1)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("header", "value", "wait"),
    [
        ("X-App-Usage", '{"call_count":96,"total_time":25,"total_cputime":25}', timedelta(minutes=5)),
        (
            "X-Business-Use-Case-Usage",
            '{"178":[{"type":"instagram","call_count":100,"total_cputime":25,"total_time":25,'
            '"estimated_time_to_regain_access":19}]}',
            timedelta(minutes=19),
        ),
    ],
)
def test_a_nearly_spent_allowance_waits_before_anything_is_made(
    server: ScriptedServer, instagram: Instagram, header: str, value: str, wait: timedelta
) -> None:
    server.enqueue(Reply(body=QUOTA, headers={header: value}))
    with pytest.raises(RateLimited) as caught:
        instagram.prepare(photo_post(), account(), {})
    assert caught.value.retry_after == wait


@pytest.mark.parametrize("header", ['{"call_count":95}', "not json", "[]", '{"call_count":"many"}'])
def test_room_or_an_unreadable_header_stops_nothing(
    server: ScriptedServer, instagram: Instagram, header: str
) -> None:
    server.enqueue(Reply(body=QUOTA, headers={"X-App-Usage": header}))
    assert instagram.prepare(photo_post(), account(), {}) == Pending(checkpoint={"quota_read": True})


# --- ends ------------------------------------------------------------------------------------------------------------


def test_an_expired_container_is_dropped_at_once(server: ScriptedServer, instagram: Instagram) -> None:
    server.enqueue(status("EXPIRED"))
    result = instagram.prepare(photo_post(), account(), {"quota_read": True, "container": CONTAINER})
    assert result == Pending(checkpoint={"restarts": 1})


def test_a_permanent_subcode_in_the_status_text_is_a_rejection(
    server: ScriptedServer, instagram: Instagram
) -> None:
    server.enqueue(status("ERROR", "Error: Media upload has failed with error code 2207026"))
    with pytest.raises(Rejected) as caught:
        instagram.prepare(reel(), account(), {"container": CONTAINER})
    assert caught.value.platform_code == "352/2207026"


@pytest.mark.parametrize("text", ["Error: … 2207053", "Error: … 2207999", "Error"])
def test_a_passing_failure_starts_anew_a_bounded_number_of_times(
    server: ScriptedServer, instagram: Instagram, text: str
) -> None:
    server.enqueue(*[status("ERROR", text)] * 4)
    waits = []
    for restarts in range(3):
        result = instagram.prepare(reel(), account(), {"container": CONTAINER, "restarts": restarts})
        assert isinstance(result, Pending)
        assert result.checkpoint == {"restarts": restarts + 1}
        waits.append(result.wait.total_seconds())
    assert waits == [30, 60, 120]
    with pytest.raises(Unavailable) as caught:
        instagram.prepare(reel(), account(), {"container": CONTAINER, "restarts": 3})
    assert caught.value.code == "container_failed"


@pytest.mark.parametrize("pair", [(100, 33), (24, 2207008), (24, 2207006)])
def test_a_container_not_found_is_read_again_before_it_is_given_up(
    server: ScriptedServer, instagram: Instagram, pair: tuple[int, int]
) -> None:
    server.enqueue(*[Reply(status=400, body=build_error(*pair))] * 4)
    checkpoint: Mapping[str, Any] = {"container": CONTAINER}
    for polls in range(3):
        result = instagram.prepare(photo_post(), account(), checkpoint)
        assert isinstance(result, Pending)
        checkpoint = result.checkpoint
        assert checkpoint == {"container": CONTAINER, "polls": polls + 1}
    assert instagram.prepare(photo_post(), account(), checkpoint) == Pending(checkpoint={"restarts": 1})


def test_a_container_found_published_before_arming_is_never_made_anew(
    server: ScriptedServer, instagram: Instagram
) -> None:
    server.enqueue(status("PUBLISHED"))
    result = instagram.prepare(photo_post(), account(), {"container": CONTAINER})
    assert result.checkpoint["container"] == CONTAINER
    assert isinstance(result, Pending)
    assert result.wait > timedelta(0)  # a look settles it


# --- the wire --------------------------------------------------------------------------------------------------------
