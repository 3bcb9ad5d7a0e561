"""``prepare``: the session's start, chunks, probes, and continuing from any checkpoint."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from adapters.contract import Pending, Ready
from adapters.errors import CredentialsExpired, Rejected, Unavailable, Unsupported
from adapters.youtube.adapter import YouTube
from adapters.youtube.client import trust_location
from adapters.youtube.limits import CHUNK, QUANTUM
from tests.adapters.drafts import through_json
from tests.adapters.files import content
from tests.adapters.scripted_server import DROP, Reply, ScriptedServer
from tests.adapters.youtube import examples
from tests.adapters.youtube.drafts import (
    BIG,
    CAPTION,
    DELIVERY,
    TOKEN,
    account,
    prepare_until_ready,
    slideshow,
    video,
)
from tests.adapters.youtube.upload_session import Session

Make = Callable[..., YouTube]
Open = Callable[[int], Session]
UPLOAD = "/youtube/upload/youtube/v3/videos"


def begun(server: ScriptedServer, **changes: Any) -> dict[str, Any]:
    """Return a checkpoint with a session whose offset was just reported."""
    known = {
        "session": server.url + examples.SESSION,
        "size": BIG,
        "content_type": "video/mp4",
        "started_at": 1.0,
        "said_at": time.time(),
    }
    return {**known, **changes}


def test_the_session_starts_with_everything_said(
    server: ScriptedServer, youtube: Make, session: Open
) -> None:
    session(BIG)
    result = youtube(privacy="unlisted", category="24").prepare(video(bytes=BIG), account(), {})
    (seen,) = server.requests
    assert seen.query == {"uploadType": "resumable", "part": "snippet,status"}
    assert seen.headers["Authorization"] == f"Bearer {TOKEN}"
    assert seen.headers["Content-Type"] == "application/json; charset=UTF-8"
    assert seen.headers["X-Upload-Content-Length"] == str(BIG)
    assert seen.headers["X-Upload-Content-Type"] == "video/mp4"
    assert seen.headers["Slug"] == f"slipway-{DELIVERY}.mp4"
    assert seen.json() == {
        "snippet": {"title": CAPTION, "description": CAPTION, "tags": ["cat"], "categoryId": "24"},
        "status": {"privacyStatus": "unlisted"},
    }
    assert isinstance(result, Pending)
    assert result.wait == timedelta(0)
    assert result.checkpoint["session"] == server.url + examples.SESSION
    assert (result.checkpoint["size"], result.checkpoint["content_type"]) == (BIG, "video/mp4")


def test_privacy_is_public_by_default(server: ScriptedServer, youtube: Make, session: Open) -> None:
    session(BIG)
    youtube().prepare(video(bytes=BIG), account(), {})
    assert server.requests[0].json()["status"] == {"privacyStatus": "public"}


def test_all_but_the_last_chunk_go_up_in_prepare(
    server: ScriptedServer, youtube: Make, session: Open
) -> None:
    upload = session(BIG)
    kept = prepare_until_ready(youtube, video(bytes=BIG))
    assert server.ranges == [f"bytes 0-{CHUNK - 1}/{BIG}", f"bytes {CHUNK}-{2 * CHUNK - 1}/{BIG}"]
    assert bytes(upload.stored) == content(0, 2 * CHUNK)
    assert {seen.headers["Content-Type"] for seen in server.requests if seen.method == "PUT"} == {"video/mp4"}
    assert upload.made == 0
    finished = youtube().finalize(video(bytes=BIG), account(), kept)
    assert server.ranges[-1] == f"bytes {2 * CHUNK}-{BIG - 1}/{BIG}"
    assert bytes(upload.stored) == content(0, BIG)
    assert finished == Pending(checkpoint={**kept, "video_id": examples.VIDEO_ID})


@pytest.mark.parametrize("size", [1, QUANTUM, CHUNK])
def test_a_file_of_one_chunk_is_all_finalize(
    server: ScriptedServer, youtube: Make, session: Open, size: int
) -> None:
    upload = session(size)
    kept = prepare_until_ready(youtube, video(bytes=size))
    assert server.ranges == []
    youtube().finalize(video(bytes=size), account(), kept)
    assert server.ranges == [f"bytes 0-{size - 1}/{size}"]
    assert upload.made == 1


def test_a_file_of_whole_chunks_keeps_the_last_for_finalize(youtube: Make, session: Open) -> None:
    upload = session(2 * CHUNK)
    prepare_until_ready(youtube, video(bytes=2 * CHUNK))
    assert len(upload.stored) == CHUNK


def test_one_byte_more_than_a_chunk_is_two(server: ScriptedServer, youtube: Make, session: Open) -> None:
    upload = session(CHUNK + 1)
    youtube().finalize(
        video(bytes=CHUNK + 1), account(), prepare_until_ready(youtube, video(bytes=CHUNK + 1))
    )
    assert server.ranges == [f"bytes 0-{CHUNK - 1}/{CHUNK + 1}", f"bytes {CHUNK}-{CHUNK}/{CHUNK + 1}"]
    assert upload.made == 1


def test_it_goes_on_where_youtube_says(server: ScriptedServer, youtube: Make, session: Open) -> None:
    upload = session(BIG)
    upload.takes.extend([QUANTUM, CHUNK - QUANTUM])
    kept = prepare_until_ready(youtube, video(bytes=BIG))
    youtube().finalize(video(bytes=BIG), account(), kept)
    assert server.ranges[1] == f"bytes {QUANTUM}-{QUANTUM + CHUNK - 1}/{BIG}"
    assert bytes(upload.stored) == content(0, BIG)


def test_a_new_location_is_used(server: ScriptedServer, youtube: Make) -> None:
    moved = server.url + "/youtube/elsewhere?upload_id=2"
    server.on("PUT", UPLOAD, Reply(status=308, headers={"Range": f"bytes=0-{CHUNK - 1}", "Location": moved}))
    result = youtube().prepare(video(bytes=BIG), account(), begun(server))
    assert (result.checkpoint["session"], result.checkpoint["offset"]) == (moved, CHUNK)


@pytest.mark.parametrize(
    "location",
    [
        "https://evil.example/upload/youtube/v3/videos?upload_id=1",
        "https://www.googleapis.com/upload/youtube/v3/videos?upload_id=1",
        "http://127.0.0.1:1/upload/youtube/v3/videos?upload_id=1",
    ],
)
def test_the_token_goes_to_no_host_that_an_answer_names(
    server: ScriptedServer, youtube: Make, location: str
) -> None:
    server.on("POST", UPLOAD, Reply(headers={"Location": location}))
    result = youtube().prepare(video(bytes=BIG), account(), {})
    assert result.checkpoint["session"] == server.url + UPLOAD + "?upload_id=1"


@pytest.mark.parametrize(
    ("location", "trusted"),
    [
        ("https://www.googleapis.com/upload?x=1", "https://www.googleapis.com/upload?x=1"),
        ("https://youtube.googleapis.com/upload?x=1", "https://youtube.googleapis.com/upload?x=1"),
        ("/upload?x=1", "https://www.googleapis.com/upload?x=1"),
        ("http://youtube.googleapis.com/upload?x=1", "https://www.googleapis.com/upload?x=1"),
        ("https://www.googleapis.com.evil.example/upload?x=1", "https://www.googleapis.com/upload?x=1"),
        ("https://www.googleapis.com@evil.example/upload?x=1", "https://www.googleapis.com/upload?x=1"),
    ],
)
def test_of_the_real_hosts_only_googles_are_trusted(location: str, trusted: str) -> None:
    assert trust_location(location, "https://www.googleapis.com") == trusted


def test_an_answer_without_a_session_is_no_session(server: ScriptedServer, youtube: Make) -> None:
    server.on("POST", UPLOAD, Reply())
    with pytest.raises(Unavailable):
        youtube().prepare(video(bytes=BIG), account(), {})


def test_after_a_cut_the_session_is_asked(server: ScriptedServer, youtube: Make, session: Open) -> None:
    upload = session(BIG)

    def takes_it_and_falls_silent(seen: Any) -> Reply:
        upload(seen)
        return DROP

    server.on("PUT", UPLOAD, takes_it_and_falls_silent, upload)
    first = youtube().prepare(video(bytes=BIG), account(), begun(server))
    assert isinstance(first, Pending)
    assert first.wait > timedelta(0)
    second = youtube().prepare(video(bytes=BIG), account(), through_json(first.checkpoint))
    assert server.ranges == [f"bytes 0-{CHUNK - 1}/{BIG}", f"bytes */{BIG}"]
    assert server.requests[-1].headers["Content-Length"] == "0"
    assert server.requests[-1].headers["Authorization"] == f"Bearer {TOKEN}"
    assert second.checkpoint["offset"] == CHUNK
    assert "cuts" not in second.checkpoint
    prepare_until_ready(youtube, video(bytes=BIG), second.checkpoint)
    assert bytes(upload.stored) == content(0, 2 * CHUNK)


def test_an_old_checkpoint_is_not_believed(server: ScriptedServer, youtube: Make, session: Open) -> None:
    upload = session(BIG)
    upload.stored += content(0, CHUNK)  # a worker died after these bytes arrived
    result = youtube().prepare(video(bytes=BIG), account(), begun(server, said_at=time.time() - 60))
    assert server.ranges == [f"bytes */{BIG}"]
    assert result.checkpoint["offset"] == CHUNK


def test_prepared_early_it_is_asked_again_before_it_is_ready(
    server: ScriptedServer, youtube: Make, session: Open
) -> None:
    upload = session(BIG)
    upload.stored += content(0, 2 * CHUNK)
    old = begun(server, offset=2 * CHUNK, said_at=time.time() - 3600)
    assert isinstance(youtube().prepare(video(bytes=BIG), account(), old), Ready)
    assert server.ranges == [f"bytes */{BIG}"]


def test_a_chunk_sent_twice_does_no_harm(server: ScriptedServer, youtube: Make, session: Open) -> None:
    upload = session(BIG)
    upload.stored += content(0, CHUNK)
    result = youtube().prepare(video(bytes=BIG), account(), begun(server))
    assert result.checkpoint["offset"] == CHUNK
    assert bytes(upload.stored) == content(0, CHUNK)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=503, headers={"Retry-After": "7"}),
        Reply(examples.error(503, "backendError"), status=503, headers={"Retry-After": "7"}),
        Reply(status=400),
        Reply(status=416),
        Reply(status=308, headers={"Range": "bytes=9-12"}),
        Reply(status=308),
        Reply("not json", status=200),
    ],
)
def test_a_chunk_that_got_nowhere_leads_to_a_probe(
    server: ScriptedServer, youtube: Make, reply: Reply
) -> None:
    server.on("PUT", UPLOAD, reply)
    result = youtube().prepare(video(bytes=BIG), account(), begun(server, offset=CHUNK // 2))
    assert isinstance(result, Pending)
    assert result.wait == timedelta(seconds=7 if reply.status == 503 else 2)
    assert (result.checkpoint["unsure"], result.checkpoint["cuts"]) == (True, 1)


def test_an_answer_without_progress_forgives_no_cut(server: ScriptedServer, youtube: Make) -> None:
    server.on("PUT", UPLOAD, Reply(status=308, headers={"Range": f"bytes=0-{CHUNK - 1}"}))
    cut = begun(server, offset=CHUNK, cuts=3, unsure=True)
    assert youtube().prepare(video(bytes=BIG), account(), cut).checkpoint["cuts"] == 3
    server.on("PUT", UPLOAD, Reply(status=308, headers={"Range": f"bytes=0-{CHUNK}"}))
    assert "cuts" not in youtube().prepare(video(bytes=BIG), account(), cut).checkpoint


def test_youtube_may_ask_for_a_pause(server: ScriptedServer, youtube: Make) -> None:
    server.on("PUT", UPLOAD, Reply(status=308, headers={"Range": "bytes=0-99", "Retry-After": "30"}))
    result = youtube().prepare(video(bytes=BIG), account(), begun(server))
    assert isinstance(result, Pending)
    assert result.wait == timedelta(seconds=30)


def test_every_byte_there_and_no_conclusion_is_waited_for(server: ScriptedServer, youtube: Make) -> None:
    server.on("PUT", UPLOAD, Reply(status=308, headers={"Range": f"bytes=0-{BIG - 1}"}))
    result = youtube().prepare(video(bytes=BIG), account(), begun(server, unsure=True))
    assert isinstance(result, Pending)
    assert result.wait > timedelta(0)


@pytest.mark.parametrize("status", [404, 410])
@pytest.mark.parametrize("unsure", [False, True])
def test_a_session_that_is_gone_is_begun_anew(
    server: ScriptedServer, youtube: Make, status: int, *, unsure: bool
) -> None:
    server.on("PUT", UPLOAD, Reply(status=status))
    result = youtube().prepare(video(bytes=BIG), account(), begun(server, unsure=unsure))
    assert result == Pending(checkpoint={"restarts": 1})


@pytest.mark.parametrize(
    "reason", ["quotaExceeded", "dailyLimitExceeded", "uploadLimitExceeded", "unheardOf"]
)
def test_a_session_whose_last_word_is_a_refusal_is_given_up(
    server: ScriptedServer, youtube: Make, reason: str
) -> None:
    server.on("PUT", UPLOAD, Reply(examples.error(403, reason), status=403))
    result = youtube().prepare(video(bytes=BIG), account(), begun(server, unsure=True))
    assert result == Pending(checkpoint={"restarts": 1})


def test_a_session_that_ended_in_bad_metadata_is_a_refusal(server: ScriptedServer, youtube: Make) -> None:
    server.on("PUT", UPLOAD, Reply(examples.error(400, "invalidTitle"), status=400))
    with pytest.raises(Rejected):
        youtube().prepare(video(bytes=BIG), account(), begun(server, unsure=True))


@pytest.mark.parametrize("unsure", [False, True])
def test_a_stale_token_keeps_the_session(server: ScriptedServer, youtube: Make, *, unsure: bool) -> None:
    server.on("PUT", UPLOAD, Reply(examples.error(401, "authError"), status=401))
    with pytest.raises(CredentialsExpired):
        youtube().prepare(video(bytes=BIG), account(), begun(server, unsure=unsure))


def test_an_upload_found_complete_needs_no_last_chunk(server: ScriptedServer, youtube: Make) -> None:
    server.on("PUT", UPLOAD, Reply(examples.VIDEO, status=201))
    ready = youtube().prepare(video(bytes=BIG), account(), begun(server, unsure=True))
    assert isinstance(ready, Ready)
    asked = len(server.requests)
    finished = youtube().finalize(video(bytes=BIG), account(), ready.checkpoint)
    assert finished.checkpoint["video_id"] == examples.VIDEO_ID  # type: ignore[union-attr]
    assert len(server.requests) == asked


class _Changed:
    """A source whose first piece shows that the file has changed."""

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        raise Rejected("another file now", code="media_changed")


def _fails(_first: int, _length: int) -> Iterator[bytes]:
    return iter(_Changed())


def test_a_changed_file_is_noticed_before_a_byte_leaves(server: ScriptedServer, youtube: Make) -> None:
    with pytest.raises(Rejected):
        youtube().prepare(video(bytes=BIG, source=_fails), account(), begun(server))
    assert server.requests == []


def test_without_a_size_nothing_begins(server: ScriptedServer, youtube: Make) -> None:
    draft = video()
    draft = replace(draft, media=(replace(draft.media[0], facts=None),))
    with pytest.raises(Unavailable):
        youtube().prepare(draft, account(), {})
    assert server.requests == []


def test_a_slideshow_is_unsupported(server: ScriptedServer, youtube: Make) -> None:
    with pytest.raises(Unsupported):
        youtube().prepare(slideshow(), account(), {})
    assert server.requests == []
