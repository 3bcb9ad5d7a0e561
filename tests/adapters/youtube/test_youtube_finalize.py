"""``finalize``: the last chunk, and the meaning of each response to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from adapters.contract import Absent, Pending, Published
from adapters.errors import OutcomeUnknown, Unavailable
from adapters.http import HttpClient
from adapters.youtube.adapter import YouTube
from adapters.youtube.limits import CHUNK
from tests.adapters.drafts import ARMED, through_json
from tests.adapters.files import content
from tests.adapters.scripted_server import DROP, Reply, ScriptedServer
from tests.adapters.youtube import examples
from tests.adapters.youtube.drafts import BIG, account, prepare_until_ready, video
from tests.adapters.youtube.upload_session import Session

Make = Callable[..., YouTube]
Open = Callable[[int], Session]
UPLOAD = "/youtube/upload/youtube/v3/videos"
LAST = 2 * CHUNK


def ready(server: ScriptedServer, **changes: Any) -> dict[str, Any]:
    known = {
        "session": server.url + examples.SESSION,
        "size": BIG,
        "content_type": "video/mp4",
        "started_at": 1.0,
        "offset": LAST,
        "said_at": time.time(),
    }
    return {**known, **changes}


@pytest.mark.parametrize("status", [200, 201])
def test_one_visible_request_and_nothing_after_it(server: ScriptedServer, youtube: Make, status: int) -> None:
    server.on("PUT", UPLOAD, Reply(examples.VIDEO, status=status))
    client = HttpClient()
    kept = ready(server)
    done = youtube(client).finalize(video(bytes=BIG), account(), kept)
    assert done == Pending(checkpoint={**kept, "video_id": examples.VIDEO_ID})
    assert client.calls == [("PUT", server.url + UPLOAD, True)]
    (seen,) = server.requests
    assert seen.body == content(LAST, BIG - LAST)
    assert seen.range == f"bytes {LAST}-{BIG - 1}/{BIG}"


@pytest.mark.parametrize(
    "reply",
    [
        Reply('{"kind":"youtube#video"}', status=201),
        Reply(status=308, headers={"Range": f"bytes=0-{BIG - 1}"}),
        Reply(status=308, headers={"Range": "rubbish"}),
    ],
)
def test_whatever_is_unclear_is_unknown(server: ScriptedServer, youtube: Make, reply: Reply) -> None:
    server.on("PUT", UPLOAD, reply)
    with pytest.raises(OutcomeUnknown):
        youtube().finalize(video(bytes=BIG), account(), ready(server))


def test_an_incomplete_upload_is_not_live_and_goes_on(
    server: ScriptedServer, youtube: Make, session: Open
) -> None:
    upload = session(BIG)
    kept = prepare_until_ready(youtube, video(bytes=BIG))
    upload.takes.append(1000)
    with pytest.raises(Unavailable) as refusal:
        youtube().finalize(video(bytes=BIG), account(), kept)
    assert refusal.value.code == "upload_incomplete"
    assert isinstance(refusal.value, Unavailable)
    later = refusal.value.retry_after
    assert later is not None
    aged = {
        **kept,
        "said_at": kept["said_at"] - later.total_seconds(),
    }  # as the pipeline passes it back later
    again = prepare_until_ready(youtube, video(bytes=BIG), aged)
    youtube().finalize(video(bytes=BIG), account(), again)
    assert bytes(upload.stored) == content(0, BIG)
    assert upload.made == 1


def test_a_lost_answer_is_found_by_the_session(server: ScriptedServer, youtube: Make, session: Open) -> None:
    upload = session(BIG)
    kept = prepare_until_ready(youtube, video(bytes=BIG))

    def takes_it_and_falls_silent(seen: Any) -> Reply:
        upload(seen)
        return DROP

    server.on("PUT", UPLOAD, takes_it_and_falls_silent, upload)
    server.on("GET", "/youtube/youtube/v3/videos", examples.status("processed"))
    with pytest.raises(OutcomeUnknown):
        youtube().finalize(video(bytes=BIG), account(), kept)
    for _ in range(2):  # a session repeats its last response
        seen = youtube().look(video(bytes=BIG), account(), kept, ARMED, frozenset())
        assert isinstance(seen, Published)
        assert seen.remote_id == examples.VIDEO_ID
    assert upload.made == 1


def test_bytes_lost_on_the_way_go_up_by_the_same_session(
    server: ScriptedServer, youtube: Make, session: Open
) -> None:
    upload = session(BIG)
    kept = prepare_until_ready(youtube, video(bytes=BIG))
    server.on("PUT", UPLOAD, DROP, upload)
    with pytest.raises(OutcomeUnknown):
        youtube().finalize(video(bytes=BIG), account(), kept)
    seen = youtube().look(video(bytes=BIG), account(), kept, ARMED, frozenset())
    assert isinstance(seen, Absent)
    assert seen.checkpoint["session"] == kept["session"]
    again = prepare_until_ready(youtube, video(bytes=BIG), through_json(seen.checkpoint))
    youtube().finalize(video(bytes=BIG), account(), again)
    assert upload.made == 1
    assert sum(seen.method == "POST" for seen in server.requests) == 1


@pytest.mark.parametrize("changes", [{"session": None}, {"unsure": True}, {"offset": 0}, {"offset": BIG}])
def test_what_is_not_prepared_is_not_sent(
    server: ScriptedServer, youtube: Make, changes: dict[str, Any]
) -> None:
    with pytest.raises(Unavailable):
        youtube().finalize(video(bytes=BIG), account(), ready(server, **changes))
    assert server.requests == []


class _Dead:
    """A source that fails before its first piece."""

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        raise Unavailable("no answer")


def _dead(_first: int, _length: int) -> Iterator[bytes]:
    return iter(_Dead())


def _breaks(first: int, length: int) -> Iterator[bytes]:
    yield content(first, length // 2)
    raise Unavailable("broke off")


def test_a_dead_source_is_noticed_before_the_visible_call(server: ScriptedServer, youtube: Make) -> None:
    client = HttpClient()
    with pytest.raises(Unavailable):
        youtube(client).finalize(video(bytes=BIG, source=_dead), account(), ready(server))
    assert client.calls == []


def test_a_source_that_breaks_inside_the_visible_call_leaves_it_unknown(
    server: ScriptedServer, youtube: Make
) -> None:
    with pytest.raises(OutcomeUnknown):
        youtube().finalize(video(bytes=BIG, source=_breaks), account(), ready(server))
