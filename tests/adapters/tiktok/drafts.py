"""Drafts and accounts for TikTok."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import SecretStr

from adapters.contract import (
    Account,
    CheckpointData,
    Draft,
    Media,
    Platform,
    PlatformSettings,
    Ready,
    Track,
)
from adapters.tiktok.adapter import TikTok
from tests.adapters.drafts import build_account, prepare_to_end
from tests.adapters.files import Stream, facts, stream

TOKEN = "act.very-secret-token"
REFRESH = "rft.very-secret-token"
UPLOAD_TOKEN = "Xza123"
CAPTION = "Me and me casa #cat"
SECRETS = (TOKEN, REFRESH, UPLOAD_TOKEN, "app-very-secret", "business-very-secret")


def build_settings(base: str, **options: Any) -> PlatformSettings:
    return PlatformSettings(
        hosts={
            "api": f"{base}/tiktok",
            "business": f"{base}/tiktok-business/open_api/v1.3",
            "www": f"{base}/tiktok-www",
        },
        app_id="app",
        app_secret=SecretStr("app-very-secret"),
        options={"business_app_id": "bapp", "business_app_secret": "business-very-secret", **options},
    )


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
    scopes = ("video.publish",)
    return build_account(
        Platform.TIKTOK, connection, "-000eHWs", TOKEN, refresh, scopes=scopes, settings=settings
    )


def prepare_until_ready(
    tiktok: Callable[[], TikTok], draft: Draft, account: Account, checkpoint: CheckpointData | None = None
) -> Ready:
    """Call ``prepare`` until Ready, each time by a new adapter with the last checkpoint only."""
    return Ready(checkpoint=prepare_to_end(tiktok, draft, account, checkpoint))
