"""``finalize``: the last chunk, and the meaning of each response to it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from adapters.contract import Pending
from adapters.errors import Unavailable
from adapters.http import HttpClient
from adapters.youtube.adapter import YouTube
from adapters.youtube.limits import CHUNK
from tests.adapters.files import content
from tests.adapters.scripted_server import Reply, ScriptedServer
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
