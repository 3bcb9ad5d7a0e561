"""Media uploads to LinkedIn: every step, every interruption, every resumption."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapters.contract import Ended, Pending, Ready
from adapters.errors import (
    AdapterError,
    AppRefused,
    CredentialsExpired,
    Rejected,
    Unavailable,
)
from adapters.linkedin.adapter import LinkedIn
from tests.adapters.drafts import NONE_TAKEN, prepare_to_end, through_json
from tests.adapters.files import content
from tests.adapters.linkedin import drafts as m
from tests.adapters.scripted_server import DROP, Reply, ScriptedServer

ORG = m.account()
MEMBER = m.account("person")
TAKEN_IN = Reply(status=201, body="")
AVAILABLE = m.build_media_status("AVAILABLE")
PROCESSING = m.build_media_status("PROCESSING")
IMAGE_PATH = "/api/rest/images/urn%3Ali%3Aimage%3AC4E10AQFoyyAjHPMQuQ"
VIDEO_PATH = "/api/rest/videos/urn%3Ali%3Avideo%3AC5F10AQGKQg_6y2a4sQ"


def part(etag: str) -> Reply:
    return Reply(body="", headers={"ETag": etag})


# --- images ----------------------------------------------------------------------------------------------------------


def test_an_image_is_begun_sent_and_waited_for(server: ScriptedServer, linkedin: LinkedIn) -> None:
    server.enqueue(m.IMAGE_STARTED, TAKEN_IN, PROCESSING, AVAILABLE)
    assert prepare_to_end(lambda: linkedin, m.build_draft(), ORG) == m.build_done_checkpoint(m.IMAGE)
    assert server.calls == [
        "POST /api/rest/images",
        f"PUT /dms-uploads/{m.UPLOAD_SECRET}",
        f"GET {IMAGE_PATH}",
        f"GET {IMAGE_PATH}",
    ]
    begun, sent, read, _ = server.requests
    assert begun.query == {"action": "initializeUpload"}
    assert begun.json() == {"initializeUploadRequest": {"owner": m.ORG}}
    for asked in (begun, read):
        assert asked.headers["authorization"] == f"Bearer {m.TOKEN}"
        assert asked.headers["linkedin-version"] == m.VERSION
        assert asked.headers["x-restli-protocol-version"] == "2.0.0"
        assert asked.headers["content-type"] == "application/json"
    assert sent.body == content(0, 5000)
    assert sent.headers["authorization"] == f"Bearer {m.TOKEN}", "an image's address wants the token"
    assert sent.headers["content-type"] == "image/jpeg"


def test_several_images_are_all_sent_before_any_is_waited_for(
    server: ScriptedServer, linkedin: LinkedIn
) -> None:
    draft = m.build_draft(*(m.image(1000 + n) for n in range(3)))
    for number in (1, 2, 3):
        server.enqueue(m.image_started(number), TAKEN_IN)
    server.enqueue(AVAILABLE, PROCESSING, AVAILABLE, AVAILABLE)
    ready = prepare_to_end(lambda: linkedin, draft, MEMBER)
    assert ready == m.build_done_checkpoint("urn:li:image:1", "urn:li:image:2", "urn:li:image:3")
    assert [asked.body for asked in server.requests if asked.method == "PUT"] == [
        content(0, 1000),
        content(0, 1001),
        content(0, 1002),
    ]
    assert [call[-1] for call in server.calls[6:]] == ["1", "2", "2", "3"]
    assert server.requests[0].json()["initializeUploadRequest"]["owner"] == m.MEMBER


@pytest.mark.parametrize("kind", ["image", "video"])
def test_a_token_that_may_not_read_statuses_posts_at_once(
    server: ScriptedServer, linkedin: LinkedIn, kind: str
) -> None:
    draft = m.build_draft(m.video() if kind == "video" else m.image())
    state = m.build_done_checkpoint(m.VIDEO if kind == "video" else m.IMAGE)
    state["media"][0].pop("available")
    server.enqueue(Reply(status=403, body=m.DENIED), Reply(status=403, body=m.DENIED))
    ready = linkedin.prepare(draft, MEMBER, state)
    assert ready == Ready(checkpoint={**state, "unreadable": True})
    assert linkedin.look(draft, MEMBER, state, None, NONE_TAKEN) == ready
    assert linkedin.prepare(draft, MEMBER, ready.checkpoint) == ready, "and is not asked again"


# --- video -----------------------------------------------------------------------------------------------------------


def test_a_video_goes_up_in_parts_and_is_closed_with_their_ids_in_order(
    server: ScriptedServer, linkedin: LinkedIn
) -> None:
    draft = m.build_draft(m.video())
    server.enqueue(m.VIDEO_STARTED, part('"etag1"'), part("etag2"), Reply(body=""), PROCESSING, AVAILABLE)
    assert prepare_to_end(lambda: linkedin, draft, ORG) == m.build_done_checkpoint(m.VIDEO)
    assert server.calls == [
        "POST /api/rest/videos",
        "PUT /dms-uploads/1",
        "PUT /dms-uploads/2",
        "POST /api/rest/videos",
        f"GET {VIDEO_PATH}",
        f"GET {VIDEO_PATH}",
    ]
    begun, first, second, closed, *_ = server.requests
    assert begun.query == {"action": "initializeUpload"}
    assert begun.json() == {
        "initializeUploadRequest": {
            "owner": m.ORG,
            "fileSizeBytes": m.PART + 700,
            "uploadCaptions": False,
            "uploadThumbnail": False,
        }
    }
    assert first.body + second.body == content(0, m.PART + 700)
    assert len(first.body) == m.PART, "lastByte is part of it"
    for asked in (first, second):
        assert "authorization" not in asked.headers
        assert asked.headers["content-type"] == "application/octet-stream"
    assert closed.query == {"action": "finalizeUpload"}
    assert closed.json() == {
        "finalizeUploadRequest": {"video": m.VIDEO, "uploadToken": "", "uploadedPartIds": ["etag1", "etag2"]}
    }


def test_each_part_is_a_step_of_its_own(server: ScriptedServer, linkedin: LinkedIn) -> None:
    draft = m.build_draft(m.video())
    server.enqueue(m.VIDEO_STARTED, part('"one"'), DROP, part('"two"'), Reply(body=""))
    state = through_json(linkedin.prepare(draft, ORG, {}).checkpoint)
    after_one = through_json(linkedin.prepare(draft, ORG, state).checkpoint)
    with pytest.raises(Unavailable):
        linkedin.prepare(draft, ORG, after_one)
    after_two = linkedin.prepare(draft, ORG, after_one)
    assert server.calls[2:] == ["PUT /dms-uploads/2", "PUT /dms-uploads/2"], "the same part again"
    closed = linkedin.prepare(draft, ORG, after_two.checkpoint)
    assert server.requests[-1].json()["finalizeUploadRequest"]["uploadedPartIds"] == ["one", "two"]
    assert closed == Pending(
        checkpoint={"media": [{"urn": m.VIDEO, "sent": True, "closed": True}]}, wait=timedelta(seconds=5)
    )


def test_a_part_without_an_etag_is_not_taken_for_sent(server: ScriptedServer, linkedin: LinkedIn) -> None:
    draft = m.build_draft(m.video())
    server.enqueue(m.VIDEO_STARTED, Reply(body=""))
    state = linkedin.prepare(draft, ORG, {}).checkpoint
    with pytest.raises(Unavailable) as raised:
        linkedin.prepare(draft, ORG, state)
    assert raised.value.platform_code == "no_etag"


TO_CLOSE = {"media": [{"urn": m.VIDEO, "part_ids": ["a"], "sent": True}]}
DOUBTFUL = {"media": [{"urn": m.VIDEO, "sent": True, "closed": True, "doubtful": True}]}


@pytest.mark.parametrize(
    "told", [m.build_error(400, "INVALID_VALUE_FOR_FIELD"), m.build_error(409, "CONFLICT")]
)
def test_a_refused_close_may_be_one_whose_first_answer_was_lost(
    server: ScriptedServer, linkedin: LinkedIn, told: Reply
) -> None:
    draft = m.build_draft(m.video())
    server.enqueue(DROP, told, AVAILABLE)
    with pytest.raises(Unavailable):
        linkedin.prepare(draft, ORG, TO_CLOSE)
    doubtful = linkedin.prepare(draft, ORG, TO_CLOSE)
    assert doubtful.checkpoint == DOUBTFUL
    assert isinstance(linkedin.prepare(draft, ORG, doubtful.checkpoint), Ready)


@pytest.mark.parametrize("told", [m.build_media_status("WAITING_UPLOAD"), Reply(status=403, body=m.DENIED)])
def test_a_refused_close_that_nothing_bears_out_begins_anew(
    server: ScriptedServer, linkedin: LinkedIn, told: Reply
) -> None:
    server.enqueue(told)
    anew = linkedin.prepare(m.build_draft(m.video()), ORG, DOUBTFUL)
    assert anew == Pending(checkpoint={"media": [{}], "restarts": 1}, wait=timedelta(seconds=30))


# --- upload addresses ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "told",
    [m.build_error(400, "EXPIRED_UPLOAD_URL"), Reply(status=403, body=""), Reply(status=401, body="")],
)
def test_a_dead_address_is_asked_for_anew(server: ScriptedServer, linkedin: LinkedIn, told: Reply) -> None:
    server.enqueue(m.image_started(1), told, m.image_started(2), TAKEN_IN, AVAILABLE)
    ready = prepare_to_end(lambda: linkedin, m.build_draft(), ORG)
    assert ready == m.build_done_checkpoint("urn:li:image:2", restarts=1)


def test_an_address_near_its_end_is_not_used(server: ScriptedServer, linkedin: LinkedIn) -> None:
    soon = int((datetime.now(UTC) + timedelta(seconds=30)).timestamp() * 1000)
    server.enqueue(m.image_started(1, ends=soon))
    state = linkedin.prepare(m.build_draft(), ORG, {})
    anew = linkedin.prepare(m.build_draft(), ORG, through_json(state.checkpoint))
    assert anew == Pending(checkpoint={"media": [{}], "restarts": 1})
    assert server.calls == ["POST /api/rest/images"]


def test_a_second_image_begun_anew_leaves_the_first_alone(server: ScriptedServer, linkedin: LinkedIn) -> None:
    draft = m.build_draft(m.image(), m.image())
    state = m.build_done_checkpoint("urn:li:image:1", "urn:li:image:2")
    state["media"][1] = {"urn": "urn:li:image:2", "url": f"{server.url}/dms-uploads/2"}
    server.enqueue(Reply(status=404, body=""), m.image_started(3), TAKEN_IN, AVAILABLE)
    assert prepare_to_end(lambda: linkedin, draft, ORG, state) == m.build_done_checkpoint(
        "urn:li:image:1", "urn:li:image:3", restarts=1
    )


@pytest.mark.parametrize(
    ("told", "error"),
    [
        (DROP, Unavailable),
        (Reply(status=500, body=""), Unavailable),
        (Reply(status=302, body=""), Unavailable),
        (Reply(status=401, body="<html>"), Unavailable),
        (Reply(status=429, body=""), Unavailable),
        (m.build_error(401, "EXPIRED_ACCESS_TOKEN"), CredentialsExpired),
    ],
)
def test_an_upload_that_failed_in_passing_goes_to_the_same_address_again(
    server: ScriptedServer, linkedin: LinkedIn, told: Reply, error: type[AdapterError]
) -> None:
    server.enqueue(m.IMAGE_STARTED, told, TAKEN_IN)
    state = linkedin.prepare(m.build_draft(), ORG, {}).checkpoint
    with pytest.raises(error):
        linkedin.prepare(m.build_draft(), ORG, state)
    linkedin.prepare(m.build_draft(), ORG, state)
    assert server.calls[1] == server.calls[2]


# --- statuses --------------------------------------------------------------------------------------------------------

WAITING = {"media": [{"urn": m.IMAGE, "sent": True}]}


def test_media_that_failed_are_refused_by_prepare_and_ended_for_look(
    server: ScriptedServer, linkedin: LinkedIn
) -> None:
    failed = m.build_media_status("PROCESSING_FAILED", processingFailureReason="The codec is not known")
    server.enqueue(failed, failed)
    with pytest.raises(Rejected) as caught:
        linkedin.prepare(m.build_draft(), ORG, WAITING)
    assert caught.value.platform_message == "The codec is not known"
    seen = linkedin.look(m.build_draft(), ORG, WAITING, None, NONE_TAKEN)
    assert isinstance(seen, Ended)
    assert isinstance(seen.error, Rejected)


def test_media_that_are_not_found_are_waited_for_then_sent_anew(
    server: ScriptedServer, linkedin: LinkedIn
) -> None:
    gone = m.build_error(404, "RESOURCE_NOT_FOUND")
    server.enqueue(gone, gone)
    assert linkedin.prepare(m.build_draft(), ORG, WAITING).checkpoint == {**WAITING, "polls": 1}
    anew = linkedin.prepare(m.build_draft(), ORG, {**WAITING, "polls": 3})
    assert anew.checkpoint == {"media": [{}], "restarts": 1}


@pytest.mark.parametrize(
    ("told", "error"),
    [
        (Reply(body="[]"), Unavailable),
        (Reply(body='{"status":"DANCING"}'), Unavailable),
        (Reply(status=426, body=m.NO_VERSION), AppRefused),
    ],
)
@pytest.mark.parametrize("state", [{}, WAITING])
def test_what_else_may_be_answered_on_the_way(
    server: ScriptedServer, linkedin: LinkedIn, told: Reply, error: type[AdapterError], state: dict[str, Any]
) -> None:
    server.enqueue(told)
    with pytest.raises(error):
        linkedin.prepare(m.build_draft(), ORG, state)
