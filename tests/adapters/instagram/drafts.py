"""Drafts, accounts and the vendor's example responses, copied byte for byte."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr

from adapters.contract import Account, Draft, Media, MediaFacts, Platform, PlatformSettings
from tests.adapters.drafts import build_account
from tests.adapters.files import short_video

TOKEN = "IGAA-secret-token"
SECRET = "app-secret-value"
IG = "17841405822304914"
ARMED = datetime(2026, 11, 24, 12, 0, 0, 250_000, tzinfo=UTC)

CREATED = '{"id":"17889455560051444"}'
CONTAINER = "17889455560051444"
PUBLISHED = '{"id":"17920238422030506"}'
MEDIA_ID = "17920238422030506"
FINISHED = (
    '{"status_code":"FINISHED","status":"Finished: Media has been uploaded and it is ready to be published.",'
    '"id":"17889455560051444"}'
)
QUOTA = '{"data":[{"quota_usage":2,"config":{"quota_total":50,"quota_duration":86400}}]}'
RESUMABLE = (
    '{"id":"17889455560051444","uri":"https://rupload.facebook.com/ig-api-upload/v25.0/17889455560051444"}'
)
UPLOADED = '{"success":true,"message":"Upload successful."}'
UPLOAD_FAILED = '{"debug_info":{"retriable":false,"type":"ProcessingFailedError","message":"…"}}'
REFRESHED = '{"access_token":"IGAA-new-token","token_type":"bearer","expires_in":5183944}'
PERMALINK = "https://www.instagram.com/reel/C9xyz/"


def status(word: str, text: str = "") -> str:
    return f'{{"status_code":"{word}","status":"{text}","id":"{CONTAINER}"}}'


def node(media_id: str, caption: str, created_at: str = "2026-11-24T12:00:03+0000") -> str:
    return (
        f'{{"id":"{media_id}","caption":"{caption}","timestamp":"{created_at}",'
        f'"permalink":"https://www.instagram.com/p/{media_id}/","media_type":"IMAGE"}}'
    )


def build_settings(base: str, **options: Any) -> PlatformSettings:
    hosts = ("graph", "facebook_graph", "rupload", "www", "api", "facebook_www")
    return PlatformSettings(
        hosts={name: f"{base}/{name}" for name in hosts},
        app_id="990602627938098",
        app_secret=SecretStr(SECRET),
        version="v25.0",
        options=options,
    )


def image(number: int = 1, **facts: Any) -> Media:
    known = MediaFacts(content_type="image/jpeg", bytes=400_000, width=1080, height=1080)
    return Media(url=f"https://cdn.example.com/{number}.jpg", kind="image", facts=replace(known, **facts))


def video(content: bytes = b"v" * 1000, **facts: Any) -> Media:
    return short_video(content, **facts)


def photo_post(caption: str = "One picture") -> Draft:
    return Draft(delivery_id="d1", caption=caption, kind="slideshow", media=(image(),))


def carousel(count: int = 2) -> Draft:
    media = tuple(image(number) for number in range(1, count + 1))
    return Draft(delivery_id="d2", caption="Several pictures", kind="slideshow", media=media)


def reel(media: Media | None = None) -> Draft:
    return Draft(delivery_id="d3", caption="A reel", kind="video", media=(media or video(),))


def account(connection: str = "instagram_login") -> Account:
    return build_account(Platform.INSTAGRAM, connection, IG, TOKEN)
