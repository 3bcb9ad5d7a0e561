"""``look``: by the video, by the session, by the channel's uploads; reads only."""

from __future__ import annotations

import time
from collections.abc import Callable, Container
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapters.contract import Absent, CannotTell, Ended, LookResult, Pending, Published
from adapters.errors import (
    AdapterError,
    CredentialsExpired,
    PermissionMissing,
    RateLimited,
    Rejected,
    Unavailable,
)
from adapters.http import HttpClient
from adapters.listing import PAGES
from adapters.youtube.adapter import YouTube
from adapters.youtube.errors import FAILURES, PROCESSING_FAILURES, REASONS, REJECTIONS
from adapters.youtube.limits import CHUNK, PROCESSING
from tests.adapters.drafts import ARMED
from tests.adapters.scripted_server import DROP, Reply, ScriptedServer
from tests.adapters.youtube import examples
from tests.adapters.youtube.drafts import BIG, DELIVERY, account, video

Make = Callable[..., YouTube]
UPLOAD = "/youtube/upload/youtube/v3/videos"
VIDEOS = "/youtube/youtube/v3/videos"
CHANNELS = "/youtube/youtube/v3/channels"
ITEMS = "/youtube/youtube/v3/playlistItems"
OURS = f"slipway-{DELIVERY}.mp4"
SHORT = f"https://www.youtube.com/shorts/{examples.VIDEO_ID}"


def kept(server: ScriptedServer, **changes: Any) -> dict[str, Any]:
    known = {
        "session": server.url + examples.SESSION,
        "size": BIG,
        "content_type": "video/mp4",
        "started_at": (ARMED - timedelta(minutes=10)).timestamp(),
        "offset": 2 * CHUNK,
        "said_at": time.time(),
    }
    return {**known, **changes}


def look(
    youtube: Make,
    checkpoint: dict[str, Any],
    armed_at: datetime | None = ARMED,
    taken: Container[str] = frozenset(),
    **facts: Any,
) -> LookResult:
    """Look once, and check that no request has a body or is marked visible."""
    client = HttpClient()
    try:
        return youtube(client).look(video(bytes=BIG, **facts), account(), checkpoint, armed_at, taken)
    finally:
        assert not any(visible for _, _, visible in client.calls)


# --- not armed -------------------------------------------------------------------------------------------------------


# --- by the video ----------------------------------------------------------------------------------------------------


def test_processed_is_published(server: ScriptedServer, youtube: Make) -> None:
    server.on("GET", VIDEOS, examples.status("processed", processing="succeeded"))
    seen = look(youtube, kept(server, video_id=examples.VIDEO_ID))
    notes = {"privacy": "public", "upload_status": "processed", "short": True}
    assert seen == Published(remote_id=examples.VIDEO_ID, url=SHORT, notes=notes)
    (asked,) = server.requests
    assert asked.query == {"part": "status,processingDetails", "id": examples.VIDEO_ID}


def test_an_ordinary_video_has_an_ordinary_link(server: ScriptedServer, youtube: Make) -> None:
    server.on("GET", VIDEOS, examples.status("processed"))
    seen = look(youtube, kept(server, video_id=examples.VIDEO_ID), width=1920, height=1080)
    assert isinstance(seen, Published)
    assert seen.url == f"https://www.youtube.com/watch?v={examples.VIDEO_ID}"


def test_processing_is_waited_for_a_while(server: ScriptedServer, youtube: Make) -> None:
    server.on("GET", VIDEOS, examples.status("uploaded"))
    now = datetime.now(UTC)
    checkpoint = kept(server, video_id=examples.VIDEO_ID)
    early = look(youtube, checkpoint, now)
    assert isinstance(early, Pending)
    assert early.checkpoint["video_id"] == examples.VIDEO_ID
    assert early.wait > timedelta(0)
    assert isinstance(look(youtube, checkpoint, now - PROCESSING), Published)


def test_a_finished_processing_is_published_at_once(server: ScriptedServer, youtube: Make) -> None:
    server.on("GET", VIDEOS, examples.status("uploaded", processing="succeeded"))
    assert isinstance(look(youtube, kept(server, video_id=examples.VIDEO_ID), datetime.now(UTC)), Published)


@pytest.mark.parametrize("upload", ["deleted", None])
def test_what_was_deleted_since_was_published(
    server: ScriptedServer, youtube: Make, upload: str | None
) -> None:
    server.on("GET", VIDEOS, examples.status(upload) if upload else examples.videos())
    assert isinstance(look(youtube, kept(server, video_id=examples.VIDEO_ID)), Published)


@pytest.mark.parametrize(
    ("upload", "field", "reason", "error"),
    [
        *(("rejected", "rejectionReason", reason, case.error) for reason, case in REJECTIONS.items()),
        *(("failed", "failureReason", reason, case.error) for reason, case in FAILURES.items()),
        ("rejected", "rejectionReason", "unheardOf", Rejected),
        ("failed", "failureReason", "unheardOf", Rejected),
    ],
)
def test_a_rejected_or_failed_upload_has_ended(
    server: ScriptedServer, youtube: Make, upload: str, field: str, reason: str, error: type[AdapterError]
) -> None:
    server.on("GET", VIDEOS, examples.status(upload, **{field: reason}))
    seen = look(youtube, kept(server, video_id=examples.VIDEO_ID))
    assert isinstance(seen, Ended)
    assert type(seen.error) is error
    assert seen.error.platform_code == reason


@pytest.mark.parametrize("processing", ["failed", "terminated"])
@pytest.mark.parametrize("reason", sorted(PROCESSING_FAILURES))
def test_a_failed_processing_has_ended(
    server: ScriptedServer, youtube: Make, processing: str, reason: str
) -> None:
    response = examples.status("uploaded", processing=processing, processingFailureReason=reason)
    server.on("GET", VIDEOS, response)
    seen = look(youtube, kept(server, video_id=examples.VIDEO_ID))
    assert isinstance(seen, Ended)
    assert type(seen.error) is PROCESSING_FAILURES[reason].error


# --- by the session --------------------------------------------------------------------------------------------------


def test_the_session_is_asked_without_a_byte(server: ScriptedServer, youtube: Make) -> None:
    server.on("PUT", UPLOAD, Reply(examples.VIDEO, status=201))
    server.on("GET", VIDEOS, examples.status("rejected", rejectionReason="duplicate"))
    assert isinstance(look(youtube, kept(server)), Ended)
    probe = server.requests[0]
    assert (probe.method, probe.body, probe.range) == ("PUT", b"", f"bytes */{BIG}")
    assert server.requests[1].query["id"] == examples.VIDEO_ID


def test_complete_is_published_even_if_the_read_fails(server: ScriptedServer, youtube: Make) -> None:
    server.on("PUT", UPLOAD, Reply(examples.VIDEO, status=200))
    server.on("GET", VIDEOS, DROP)
    seen = look(youtube, kept(server))
    assert isinstance(seen, Published)
    assert seen.remote_id == examples.VIDEO_ID


@pytest.mark.parametrize(("response", "offset"), [({"Range": f"bytes=0-{CHUNK - 1}"}, CHUNK), ({}, 0)])
def test_incomplete_is_absent_with_the_same_session(
    server: ScriptedServer, youtube: Make, response: dict[str, str], offset: int
) -> None:
    server.on("PUT", UPLOAD, Reply(status=308, headers=response))
    seen = look(youtube, kept(server))
    assert isinstance(seen, Absent)
    assert seen.checkpoint["session"] == kept(server)["session"]
    assert seen.checkpoint.get("offset", 0) == offset
    assert seen.checkpoint["unsure"] is True


def test_a_moved_session_is_kept_before_anything_is_said(server: ScriptedServer, youtube: Make) -> None:
    moved = server.url + "/youtube/elsewhere?upload_id=2"
    server.on("PUT", UPLOAD, Reply(status=308, headers={"Location": moved}))
    seen = look(youtube, kept(server))
    assert isinstance(seen, Pending)
    assert seen.checkpoint["session"] == moved
    server.on("PUT", "/youtube/elsewhere", Reply(status=308))
    assert isinstance(look(youtube, dict(seen.checkpoint)), Absent)


def test_every_byte_there_is_waited_for(server: ScriptedServer, youtube: Make) -> None:
    server.on("PUT", UPLOAD, Reply(status=308, headers={"Range": f"bytes=0-{BIG - 1}"}))
    assert isinstance(look(youtube, kept(server)), Pending)


@pytest.mark.parametrize("reason", sorted(name for name, case in REASONS.items() if case.of_insert))
def test_the_repeated_refusal_of_an_insert_is_its_end(
    server: ScriptedServer, youtube: Make, reason: str
) -> None:
    server.on("PUT", UPLOAD, Reply(examples.error(400, reason), status=400))
    seen = look(youtube, kept(server))
    assert isinstance(seen, Ended)
    assert isinstance(seen.error, Rejected)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (DROP, Unavailable),
        (Reply(status=500), Unavailable),
        (Reply(examples.error(503, "backendError"), status=503), Unavailable),
        (Reply(status=503), Unavailable),
        (Reply(examples.error(401, "authError"), status=401), CredentialsExpired),
        (Reply(examples.error(403, "userRateLimitExceeded"), status=403), RateLimited),
        (Reply(examples.error(403, "insufficientPermissions"), status=403), PermissionMissing),
    ],
)
def test_a_probe_that_could_not_be_made_says_nothing(
    server: ScriptedServer, youtube: Make, reply: Reply, error: type[AdapterError]
) -> None:
    server.on("PUT", UPLOAD, reply)
    with pytest.raises(error):
        look(youtube, kept(server))


# --- by the channel's uploads ----------------------------------------------------------------------------------------


def listing(server: ScriptedServer, *items: dict[str, Any], gone: Reply | None = None) -> None:
    server.on("PUT", UPLOAD, gone or Reply(status=404))
    server.on("GET", CHANNELS, examples.channels())
    entries = [(item["id"], item["snippet"]["publishedAt"]) for item in items]
    server.on("GET", ITEMS, examples.playlist(*entries))
    server.on("GET", VIDEOS, examples.videos(*items))


@pytest.mark.parametrize(
    "gone",
    [
        Reply(status=404),
        Reply(status=410),
        Reply(examples.error(403, "quotaExceeded"), status=403),
        Reply(examples.error(400, "uploadLimitExceeded"), status=400),
        Reply(status=400),
        Reply("<html>", status=401),
        Reply("?", status=200),
    ],
)
def test_a_session_that_proves_nothing_leads_to_the_uploads(
    server: ScriptedServer, youtube: Make, gone: Reply
) -> None:
    listing(server, examples.listed("a", size=BIG, name=OURS), gone=gone)
    seen = look(youtube, kept(server))
    assert isinstance(seen, Published)
    assert seen.remote_id == "a"
    assert [asked.path for asked in server.requests] == [UPLOAD, CHANNELS, ITEMS, VIDEOS]
    assert server.requests[1].query == {"part": "contentDetails", "mine": "true"}
    assert server.requests[2].query["playlistId"] == "UU1"


@pytest.mark.parametrize(
    "items",
    [
        [examples.listed("a", size=BIG, name=OURS, title="renamed since"), examples.listed("b", size=BIG)],
        [examples.listed("a", size=None, name=OURS.upper())],
        [examples.listed("a", size=BIG), examples.listed("b", size=BIG, name="slipway-other.mp4")],
        [examples.listed("a", size=BIG), examples.listed("b", size=BIG + 1)],
        [examples.listed("a", size=BIG), examples.listed("b", size=BIG, title="Another")],
        [examples.listed("a", size=BIG), examples.listed("b", size=BIG, at="2026-11-24T11:00:00Z")],
        [examples.listed("a", size=BIG, name=None)],
        [examples.listed("a", size=BIG, name=OURS, at="2026-11-24T11:52:00Z")],
        [examples.listed("a", size=BIG), examples.listed("mine", size=BIG, name=OURS)],
    ],
)
def test_exactly_one_upload_is_ours(
    server: ScriptedServer, youtube: Make, items: list[dict[str, Any]]
) -> None:
    listing(server, *items)
    seen = look(youtube, kept(server))
    assert isinstance(seen, Published)
    assert seen.remote_id == ("mine" if items[-1]["id"] == "mine" else "a")


@pytest.mark.parametrize(
    "items",
    [
        [],
        [examples.listed("a", size=BIG), examples.listed("b", size=BIG)],
        [examples.listed("a", size=BIG, name=OURS), examples.listed("b", size=BIG, name=OURS)],
        [examples.listed("a", size=BIG, at="2026-11-24T11:00:00Z", name=OURS)],
        [examples.listed("a", size=BIG, name="slipway-other.mp4")],
        [examples.listed("a", size=None)],
        [examples.listed("a", size=BIG + 1, name=OURS)],
    ],
)
def test_none_or_two_cannot_be_told(
    server: ScriptedServer, youtube: Make, items: list[dict[str, Any]]
) -> None:
    listing(server, *items)
    assert isinstance(look(youtube, kept(server)), CannotTell)


def test_what_others_own_is_not_ours(server: ScriptedServer, youtube: Make) -> None:
    listing(server, examples.listed("a", size=BIG, name=OURS))
    assert isinstance(look(youtube, kept(server), taken=frozenset({"a"})), CannotTell)


def test_ours_may_have_been_rejected(server: ScriptedServer, youtube: Make) -> None:
    listing(server, examples.listed("a", size=BIG, name=OURS, upload="rejected"))
    assert isinstance(look(youtube, kept(server)), Ended)


def test_without_a_session_the_uploads_are_asked(server: ScriptedServer, youtube: Make) -> None:
    listing(server, examples.listed("a", size=BIG, name=OURS))
    assert isinstance(look(youtube, {}), Published)
    assert [asked.path for asked in server.requests] == [CHANNELS, ITEMS, VIDEOS]


def test_pages_are_read_until_before_the_session(server: ScriptedServer, youtube: Make) -> None:
    listing(server, examples.listed("a", size=BIG, name=OURS))
    newest = examples.playlist(("x", "2026-11-24T12:10:00Z"), following="p2")
    then = examples.playlist(("a", "2026-11-24T12:00:05Z"), ("old", "2026-11-23T12:00:00Z"), following="p3")
    server.on("GET", ITEMS, newest, then)
    server.on("GET", VIDEOS, examples.videos(examples.listed("a", size=BIG, name=OURS)))
    assert isinstance(look(youtube, kept(server)), Published)
    pages = [asked.query.get("pageToken") for asked in server.requests if asked.path == ITEMS]
    assert pages == [None, "p2"]
    assert [asked.query["id"] for asked in server.requests if asked.path == VIDEOS] == ["x,a"]


def test_too_many_uploads_cannot_be_told(server: ScriptedServer, youtube: Make) -> None:
    listing(server, examples.listed("a", size=BIG, name=OURS))
    server.on("GET", ITEMS, examples.playlist(("a", "2026-11-24T12:10:00Z"), following="more"))
    assert isinstance(look(youtube, kept(server)), CannotTell)
    assert sum(asked.path == ITEMS for asked in server.requests) == PAGES


@pytest.mark.parametrize("response", [examples.channels("UC2"), examples.channels(uploads=None), "{}"])
def test_another_channel_cannot_tell(server: ScriptedServer, youtube: Make, response: str) -> None:
    listing(server)
    server.on("GET", CHANNELS, response)
    assert isinstance(look(youtube, kept(server)), CannotTell)


def test_a_search_that_could_not_be_made_says_nothing(server: ScriptedServer, youtube: Make) -> None:
    listing(server)
    server.on("GET", ITEMS, Reply(status=500))
    with pytest.raises(Unavailable):
        look(youtube, kept(server))
