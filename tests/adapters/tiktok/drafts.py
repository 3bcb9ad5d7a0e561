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
    Track,
)
from adapters.tiktok import TikTok
from tests.adapters.files import Stream, facts, stream

TOKEN = "act.very-secret-token"
REFRESH = "rft.very-secret-token"
UPLOAD_TOKEN = "Xza123"
ARMED = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
CAPTION = "Me and me casa #cat"
SECRETS = (TOKEN, REFRESH, UPLOAD_TOKEN, "app-very-secret", "business-very-secret")


def video(*, options: dict[str, Any] | None = None, source: Stream = stream, **changes: Any) -> Draft:
    media = Media(url="https://cdn.example.com/v.mp4", kind="video", facts=facts(**changes), stream=source)
    return Draft(delivery_id="d", caption=CAPTION, kind="video", media=(media,), options=options or {})


def image(number: int, **changes: Any) -> Media:
    known = facts(
        **{
            "content_type": "image/jpeg",
            "duration": None,
            "codec": None,
            "fps": None,
            "height": 1350,
            **changes,
        }
    )
    return Media(url=f"https://cdn.example.com/{number}.jpg", kind="image", facts=known)


def photos(count: int = 2, caption: str = CAPTION, **options: Any) -> Draft:
    media = tuple(image(number) for number in range(1, count + 1))
    return Draft(delivery_id="d", caption=caption, kind="slideshow", media=media, options=options)


def track(sound_id: str = "7221171716369631233") -> Track:
    link = f"https://www.tiktok.com/music/x-{sound_id}"
    return Track(post_id="6718335390845095173", sound_id=sound_id, title="Track", artist="Artist", link=link)


def account(connection: str = "creator", refresh: str | None = REFRESH, **settings: Any) -> Account:
    return Account(
        id="a",
        platform=Platform.TIKTOK,
        connection=connection,
        remote_id="-000eHWs",
        username="casa",
        credentials=Credentials(
            access_token=SecretStr(TOKEN),
            refresh_token=SecretStr(refresh) if refresh else None,
            scopes=("video.publish",),
        ),
        settings=settings,
    )


def through_json(checkpoint: CheckpointData) -> dict[str, Any]:
    """The checkpoint as another worker would find it."""
    kept: dict[str, Any] = json.loads(json.dumps(checkpoint))
    return kept


def prepared(
    tiktok: Callable[[], TikTok], draft: Draft, who: Account, checkpoint: CheckpointData | None = None
) -> Ready:
    """Prepare to the end, every step by a new worker that knows the last checkpoint only."""
    result: PrepareResult = Pending(checkpoint=checkpoint or {})
    for _ in range(100):
        if isinstance(result, Ready):
            return Ready(checkpoint=through_json(result.checkpoint))
        result = tiktok().prepare(draft, who, through_json(result.checkpoint))
    raise AssertionError("prepare never got ready")
