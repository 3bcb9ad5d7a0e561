"""Drafts and accounts for YouTube."""

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
)
from adapters.youtube.adapter import YouTube
from adapters.youtube.limits import CHUNK
from tests.adapters.drafts import build_account, prepare_to_end
from tests.adapters.files import Stream, facts, stream

TOKEN = "ya29.very-secret-token"
REFRESH = "1//very-secret-refresh"
APP_SECRET = "GOCSPX-very-secret"
CAPTION = "Me and me casa #cat"
DELIVERY = "7b0c7c5e-1111-4222-8333-444455556666"
BIG = 2 * CHUNK + 1234
"""The size of two chunks and a smaller last one."""


def build_settings(base: str, **options: Any) -> PlatformSettings:
    hosts = {
        "api": f"{base}/youtube",
        "oauth": f"{base}/google-oauth",
        "accounts": f"{base}/google-accounts",
    }
    return PlatformSettings(hosts=hosts, app_id="app", app_secret=SecretStr(APP_SECRET), options=options)


def video(*, caption: str = CAPTION, source: Stream | None = stream, **changes: Any) -> Draft:
    media = Media(url="https://cdn.example.com/v.mp4", kind="video", facts=facts(**changes), stream=source)
    return Draft(delivery_id=DELIVERY, caption=caption, kind="video", media=(media,))


def slideshow_image() -> Media:
    known = facts(content_type="image/jpeg", duration=None, codec=None, fps=None)
    return Media(url="https://cdn.example.com/1.jpg", kind="image", facts=known, stream=stream)


def slideshow() -> Draft:
    image = slideshow_image()
    return Draft(delivery_id=DELIVERY, caption=CAPTION, kind="slideshow", media=(image, image))


def account(refresh: str | None = REFRESH, **settings: Any) -> Account:
    scopes = ("https://www.googleapis.com/auth/youtube.upload",)
    return build_account(Platform.YOUTUBE, "channel", "UC1", TOKEN, refresh, scopes=scopes, settings=settings)


def prepare_until_ready(
    youtube: Callable[[], YouTube], draft: Draft, checkpoint: CheckpointData | None = None
) -> dict[str, Any]:
    """Call ``prepare`` until Ready, each time by a new adapter with the last checkpoint only; return the final one."""
    return prepare_to_end(youtube, draft, account(), checkpoint)
