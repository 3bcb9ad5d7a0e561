"""Error tables, the reset of quotas at midnight Pacific time, and secrets in reprs and errors."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from adapters.errors import RateLimited
from adapters.youtube.adapter import YouTube
from adapters.youtube.errors import (
    FAILURES,
    OAUTH,
    PLAYLIST_REASONS,
    PROCESSING_FAILURES,
    REJECTIONS,
    time_until_pacific_midnight,
)
from tests.adapters.scripted_server import Reply, ScriptedServer
from tests.adapters.youtube import examples
from tests.adapters.youtube.drafts import BIG, account, video

Make = Callable[..., YouTube]
UPLOAD = "/youtube/upload/youtube/v3/videos"


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


def test_a_spoilt_checkpoint_shows_nothing(youtube: Make, server: ScriptedServer) -> None:
    with pytest.raises(ValidationError) as error:
        youtube().prepare(video(), account(), {"session": [server.url + examples.SESSION]})
    assert examples.UPLOAD_ID not in str(error.value)
