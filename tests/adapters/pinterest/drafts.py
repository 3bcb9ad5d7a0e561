"""Drafts, accounts and the vendor's example responses, copied byte for byte."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import SecretStr

from adapters.contract import (
    Account,
    Draft,
    Media,
    MediaFacts,
    Platform,
    PlatformSettings,
)
from tests.adapters.drafts import build_account
from tests.adapters.files import stream

TOKEN = "pina-secret-token"
REFRESH = "pinr-secret-token"
APP_SECRET = "app-secret-value"
SIGNATURE = "signature-secret-value"
SECRETS = (TOKEN, REFRESH, APP_SECRET, SIGNATURE)
BOARD = "549755885175"
DELIVERY = "3f0c8d6e-8f0b-4a53-9d0e-1f9a6c2b7d11"

REGISTERED = (
    '{"media_id":"12345","media_type":"video","upload_url":"BASE/s3/","upload_parameters":{"x-amz-date":'
    '"20220127T185143Z","x-amz-signature":"' + SIGNATURE + '","x-amz-security-token":"…","x-amz-algorithm":'
    '"AWS4-HMAC-SHA256","key":"uploads/…","policy":"…","x-amz-credential":"…","Content-Type":"multipart/form-data"}}'
)
S3_EXPIRED = (
    '<?xml version="1.0" encoding="UTF-8"?><Error><Code>AccessDenied</Code><Message>Invalid according to '
    "Policy: Policy expired.</Message></Error>"
)
GRANT = (
    '{"access_token":"pina-new","refresh_token":"pinr-new","response_type":"refresh_token","token_type":"bearer",'
    '"expires_in":2592000,"refresh_token_expires_in":5184000,"refresh_token_expires_at":1700000000,'
    '"scope":"boards:read boards:write pins:read pins:write"}'
)
PIN = f'{{"id":"813744226420795884","created_at":"2026-11-24T12:00:01","board_id":"{BOARD}"}}'
PIN_ID = "813744226420795884"


def build_media_status(word: str) -> str:
    return f'{{"media_id":"12345","media_type":"video","status":"{word}"}}'


def build_error(code: int, message: str, **more: str) -> str:
    return json.dumps({"code": code, "message": message, **more})


def build_pin(pin_id: str = PIN_ID, **changes: Any) -> dict[str, Any]:
    known = {
        "id": pin_id,
        "created_at": "2026-11-24T12:00:01",
        "board_id": BOARD,
        "link": None,
        "title": "Casa",
        "description": "Casa\nnew tiles",
        "media": {"media_type": "image"},
    }
    return {**known, **changes}


def page(*pins: Mapping[str, Any], bookmark: str | None = None) -> str:
    return json.dumps({"items": list(pins), "bookmark": bookmark})


def build_settings(base: str) -> PlatformSettings:
    return PlatformSettings(
        hosts={"api": f"{base}/v5", "www": f"{base}/www"},
        app_id="1234567",
        app_secret=SecretStr(APP_SECRET),
    )


def image(number: int = 1, **facts: Any) -> Media:
    known = MediaFacts(content_type="image/jpeg", bytes=400_000, width=1000, height=1500)
    return Media(url=f"https://cdn.example.com/{number}.jpg", kind="image", facts=replace(known, **facts))


def video(size: int = 100_000, **facts: Any) -> Media:
    known = MediaFacts(
        content_type="video/mp4",
        bytes=size,
        width=1000,
        height=1500,
        duration=20.0,
        codec="h264",
        fps=30.0,
    )

    return Media(
        url="https://cdn.example.com/v.mp4", kind="video", facts=replace(known, **facts), stream=stream
    )


def post(*media: Media, caption: str = "Casa\nnew tiles", board: str | None = BOARD, **options: Any) -> Draft:
    chosen = media or (image(),)
    return Draft(
        delivery_id=DELIVERY,
        caption=caption,
        kind="video" if chosen[0].kind == "video" else "slideshow",
        media=chosen,
        options={"board_id": board, **options},
    )


def account(refresh: str | None = REFRESH, **settings: Any) -> Account:
    remote_id, scopes = "2783136121146311751", ("pins:write",)
    return build_account(
        Platform.PINTEREST, "user", remote_id, TOKEN, refresh, scopes=scopes, settings=settings
    )
