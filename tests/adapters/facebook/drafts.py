"""Drafts, accounts and the vendor's example responses, copied byte for byte."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr

from adapters.contract import Account, Draft, Media, MediaFacts, Platform, PlatformSettings
from tests.adapters.drafts import build_account
from tests.adapters.files import short_video

PAGE = "134895793791914"
TOKEN = "EAA-page-secret"
USER_TOKEN = "EAA-user-secret"
SECRET = "app-secret-value"
ARMED = datetime(2026, 11, 24, 12, 0, 0, 250_000, tzinfo=UTC)

POST = "134895793791914_122100000000000001"
POSTED = f'{{"id":"{POST}","post_supports_client_mutation_id":true}}'
SUCCESS = '{"success":true}'
REEL_STARTED = '{"video_id":"123","upload_url":"https://rupload.facebook.com/video-upload/v25.0/123"}'
VIDEO_STARTED = '{"video_id":"123","upload_session_id":"777","start_offset":"0","end_offset":"1048576"}'
TOO_LOW = """{"status":{"video_status":"processing","uploading_phase":{"status":"in_progress","bytes_transfered":50002},
 "processing_phase":{"status":"not_started","error":{"message":"…"}},
 "publishing_phase":{"status":"not_started","publish_status":"published","publish_time":280280}}}"""
HALF_UP = """{"status":{"video_status":"uploading","uploading_phase":{"status":"in_progress","bytes_transfered":400},
 "processing_phase":{"status":"not_started"},"publishing_phase":{"status":"not_started"}}}"""
UP = """{"status":{"video_status":"upload_complete","uploading_phase":{"status":"complete"},
 "processing_phase":{"status":"not_started"},"publishing_phase":{"status":"not_started"}},"published":false}"""
LIVE = """{"status":{"video_status":"ready","uploading_phase":{"status":"complete"},
 "processing_phase":{"status":"complete"},
 "publishing_phase":{"status":"complete","publish_status":"published","publish_time":280280}},
 "published":true,"permalink_url":"/reel/123/","id":"123"}"""


def video_status(word: str, publishing: str = "", *, processing: str = "not_started") -> str:
    phase = f',"publishing_phase":{{{publishing}}}' if publishing else ""
    return (
        f'{{"status":{{"video_status":"{word}","uploading_phase":{{"status":"completed"}},'
        f'"processing_phase":{{"status":"{processing}"}}{phase}}}}}'
    )


def post_state(published: bool) -> str:
    word = "true" if published else "false"
    return f'{{"id":"{POST}","is_published":{word},"permalink_url":"https://www.facebook.com/{POST}"}}'


def photo(number: int) -> str:
    return f'{{"id":"{number}"}}'


def build_settings(base: str, **options: Any) -> PlatformSettings:
    return PlatformSettings(
        hosts={name: f"{base}/{name}" for name in ("graph", "graph_video", "rupload", "www")},
        app_id="990602627938098",
        app_secret=SecretStr(SECRET),
        version="v25.0",
        options=options,
    )


def image(number: int = 1, **facts: Any) -> Media:
    known = MediaFacts(content_type="image/png", bytes=400_000, width=1080, height=1080)
    url = f"https://cdn.example.com/{number}.png"
    return Media(url=url, kind="image", facts=replace(known, **facts))


def video(content: bytes = b"v" * 1000, **facts: Any) -> Media:
    return short_video(content, **facts)


def photos(count: int = 2) -> Draft:
    media = tuple(image(number) for number in range(1, count + 1))
    return Draft(delivery_id="d1", caption="Some pictures", kind="slideshow", media=media)


def text(**options: str) -> Draft:
    return Draft(delivery_id="d3", caption="Some words", kind="text", media=(), options=options)


def reel(media: Media | None = None) -> Draft:
    return Draft(delivery_id="d2", caption="A reel", kind="video", media=(media or video(),))


def landscape(content: bytes = b"v" * 1000) -> Draft:
    return reel(video(content, width=1920, height=1080))


def account(**changed: Any) -> Account:
    known = build_account(Platform.FACEBOOK, "page", PAGE, TOKEN, USER_TOKEN, scopes=("pages_manage_posts",))
    return replace(known, credentials=replace(known.credentials, **changed))
