"""Error tables, the reset of quotas at midnight Pacific time, and secrets in reprs and errors."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from adapters.contract import Pending
from adapters.errors import AdapterError, RateLimited
from adapters.oauth import TokenResponse
from adapters.transport import Request
from adapters.youtube.adapter import YouTube
from adapters.youtube.checkpoint import Checkpoint, RedactedDict
from adapters.youtube.client import Client, Incomplete
from adapters.youtube.errors import (
    FAILURES,
    OAUTH,
    PLAYLIST_REASONS,
    PROCESSING_FAILURES,
    REJECTIONS,
    time_until_pacific_midnight,
)
from adapters.youtube.oauth import OAuth
from tests.adapters.scripted_server import DROP, Reply, ScriptedServer
from tests.adapters.youtube import examples
from tests.adapters.youtube.drafts import APP_SECRET, BIG, REFRESH, TOKEN, account, video
from tests.adapters.youtube.upload_session import Session

Make = Callable[..., YouTube]
UPLOAD = "/youtube/upload/youtube/v3/videos"
SECRETS = (TOKEN, REFRESH, APP_SECRET, examples.UPLOAD_ID)


@pytest.mark.parametrize("table", [PLAYLIST_REASONS, FAILURES, PROCESSING_FAILURES, REJECTIONS, OAUTH])
def test_every_row_is_a_sentence_and_a_word(table: Any) -> None:
    for case in table.values():
        assert case.message.endswith(".")
        assert case.code == case.code.lower()
        assert not case.ambiguous or not case.of_insert


@pytest.mark.parametrize(
    ("now", "hours"),
    [
        (datetime(2026, 7, 1, 6, 0, tzinfo=UTC), 1),  # 23:00 PDT
        (datetime(2026, 7, 1, 7, 0, tzinfo=UTC), 24),
        (datetime(2026, 1, 1, 7, 0, tzinfo=UTC), 1),  # 23:00 PST
        (datetime(2026, 3, 8, 8, 0, tzinfo=UTC), 23),  # daylight saving time begins that day
        (datetime(2026, 11, 1, 7, 0, tzinfo=UTC), 25),  # and ends
    ],
)
def test_quotas_are_new_at_midnight_pacific(now: datetime, hours: int) -> None:
    assert time_until_pacific_midnight(now) == timedelta(hours=hours)


def test_a_spent_quota_waits_for_it(server: ScriptedServer, youtube: Make) -> None:
    server.on("POST", UPLOAD, Reply(examples.error(403, "quotaExceeded"), status=403))
    with pytest.raises(RateLimited) as refusal:
        youtube().prepare(video(bytes=BIG), account(), {})
    wait = refusal.value.retry_after
    assert wait is not None
    assert abs(wait - time_until_pacific_midnight(datetime.now(UTC))) < timedelta(seconds=10)


def clean(*texts: str) -> None:
    for text in texts:
        for secret in SECRETS:
            assert secret not in text


def test_values_that_hold_secrets_do_not_show_them(
    server: ScriptedServer, youtube: Make, session: Callable[[int], Session]
) -> None:
    url = server.url + examples.SESSION
    session(BIG)
    begun = youtube().prepare(video(bytes=BIG), account(), {})
    assert examples.UPLOAD_ID in begun.checkpoint["session"]
    assert isinstance(youtube(), OAuth)
    assert isinstance(youtube()._build_client(account()), Client)
    clean(
        repr(begun),
        f"{begun.checkpoint}",
        repr(RedactedDict(session=url)),
        repr(Checkpoint(session=url)),
        str(Checkpoint(session=url)),
        repr(Incomplete(offset=1, session=url)),
        repr(TokenResponse(access_token=TOKEN, refresh_token=REFRESH)),
        repr(Request(method="PUT", url=url, headers={"Authorization": TOKEN}, form={"s": APP_SECRET})),
        repr(account()),
        repr(youtube()),
        repr(youtube()._build_client(account())),
    )


def test_a_spoilt_checkpoint_shows_nothing(youtube: Make, server: ScriptedServer) -> None:
    with pytest.raises(ValidationError) as error:
        youtube().prepare(video(), account(), {"session": [server.url + examples.SESSION]})
    clean(str(error.value))


def test_errors_do_not_repeat_what_google_says(server: ScriptedServer, youtube: Make) -> None:
    echo = examples.error(403, "quotaExceeded", message=" ".join(SECRETS))
    kept = {
        "session": server.url + examples.SESSION,
        "size": 10,
        "content_type": "video/mp4",
        "said_at": time.time(),
    }
    texts = []
    for reply in (Reply(echo, status=403), Reply(echo, status=500), DROP, Reply(echo)):
        server.on("PUT", UPLOAD, reply)
        with pytest.raises(AdapterError) as error:
            youtube().finalize(video(bytes=10), account(), kept)
        texts += [repr(error.value), str(error.value), repr(error.value.__cause__)]
    server.on(
        "POST", "/google-oauth/token", Reply(f'{{"error":"x","error_description":"{TOKEN}"}}', status=400)
    )
    with pytest.raises(AdapterError) as error:
        youtube().refresh(account())
    clean(*texts, repr(error.value))


def test_a_pending_answer_keeps_the_whole_checkpoint(
    youtube: Make, session: Callable[[int], Session]
) -> None:
    session(BIG)
    begun = youtube().prepare(video(bytes=BIG), account(), {})
    assert isinstance(begun, Pending)
    assert dict(begun.checkpoint) == Checkpoint.model_validate(begun.checkpoint).to_dict()
