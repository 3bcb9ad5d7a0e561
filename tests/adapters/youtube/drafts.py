"""Posts and accounts as the core would hand them to the adapter."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr

from adapters.contract import (
    Account,
    CheckpointData,
    Credentials,
    Draft,
    Media,
    Pending,
    Platform,
    PrepareResult,
    Ready,
)
from adapters.youtube import YouTube
from adapters.youtube.limits import CHUNK
from tests.adapters.files import Stream, facts, stream

TOKEN = "ya29.very-secret-token"
REFRESH = "1//very-secret-refresh"
APP_SECRET = "GOCSPX-very-secret"
ARMED = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
CAPTION = "Me and me casa #cat"
DELIVERY = "7b0c7c5e-1111-4222-8333-444455556666"
BIG = 2 * CHUNK + 1234
"""Two chunks, and a last one."""


def video(*, caption: str = CAPTION, source: Stream | None = stream, **changes: Any) -> Draft:
    media = Media(url="https://cdn.example.com/v.mp4", kind="video", facts=facts(**changes), stream=source)
    return Draft(delivery_id=DELIVERY, caption=caption, kind="video", media=(media,))


def slideshow() -> Draft:
    image = Media(url="https://cdn.example.com/1.jpg", kind="image", facts=facts(content_type="image/jpeg"))
    return Draft(delivery_id=DELIVERY, caption=CAPTION, kind="slideshow", media=(image, image))


def account(refresh: str | None = REFRESH, **settings: Any) -> Account:
    return Account(
        id="a",
        platform=Platform.YOUTUBE,
        connection="channel",
        remote_id="UC1",
        username="casa",
        credentials=Credentials(
            access_token=SecretStr(TOKEN),
            refresh_token=SecretStr(refresh) if refresh else None,
            scopes=("https://www.googleapis.com/auth/youtube.upload",),
        ),
        settings=settings,
    )


def through_json(checkpoint: CheckpointData) -> dict[str, Any]:
    """The checkpoint as another worker would find it."""
    kept: dict[str, Any] = json.loads(json.dumps(checkpoint))
    return kept


def prepared(
    youtube: Callable[[], YouTube], draft: Draft, checkpoint: CheckpointData | None = None
) -> dict[str, Any]:
    """Prepare to the end, every step by a new worker that knows the last checkpoint only."""
    result: PrepareResult = Pending(checkpoint=checkpoint or {})
    for _ in range(100):
        if isinstance(result, Ready):
            return through_json(result.checkpoint)
        result = youtube().prepare(draft, account(), through_json(result.checkpoint))
    raise AssertionError("prepare never got ready")
