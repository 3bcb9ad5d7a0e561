"""Drafts, accounts and the vendor's example responses, copied byte for byte."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr

from adapters.contract import (
    Account,
    CheckpointData,
    Credentials,
    Draft,
    Media,
    MediaFacts,
    Pending,
    Platform,
    PlatformSettings,
    PrepareResult,
    Ready,
)
from adapters.pinterest import Pinterest

TOKEN = "pina-secret-token"
REFRESH = "pinr-secret-token"
APP_SECRET = "app-secret-value"
SIGNATURE = "signature-secret-value"
SECRETS = (TOKEN, REFRESH, APP_SECRET, SIGNATURE)
BOARD = "549755885175"
ARMED = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
NONE_TAKEN: frozenset[str] = frozenset()
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


def account(refresh: str | None = REFRESH, **settings: Any) -> Account:
    return Account(
        id="a1",
        platform=Platform.PINTEREST,
        connection="user",
        remote_id="2783136121146311751",
        username="casa",
        credentials=Credentials(
            access_token=SecretStr(TOKEN),
            refresh_token=SecretStr(refresh) if refresh else None,
            scopes=("pins:write",),
        ),
        settings=settings,
    )


def image(number: int = 1, **facts: Any) -> Media:
    known = MediaFacts(content_type="image/jpeg", bytes=400_000, width=1000, height=1500)
    return Media(url=f"https://cdn.example.com/{number}.jpg", kind="image", facts=replace(known, **facts))


def build_content(length: int) -> bytes:
    """Return bytes that differ at every offset, so that a shifted upload is detected."""
    return (bytes(range(251)) * (length // 251 + 1))[:length]


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

    def stream(first: int, length: int) -> Iterator[bytes]:
        data = build_content(size)[first : first + length]
        for state in range(0, length, 30_000):
            yield data[state : state + 30_000]

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


def through_json(checkpoint: CheckpointData) -> dict[str, Any]:
    """Return the checkpoint as another worker reads it from the store."""
    kept: dict[str, Any] = json.loads(json.dumps(checkpoint))
    return kept


def prepare_to_end(
    pinterest: Pinterest, draft: Draft, who: Account, checkpoint: CheckpointData | None = None
) -> dict[str, Any]:
    """Call ``prepare`` until Ready, each time with the last checkpoint only, and return the final checkpoint."""
    result: PrepareResult = Pending(checkpoint=checkpoint or {})
    for _ in range(50):
        if isinstance(result, Ready):
            return through_json(result.checkpoint)
        result = pinterest.prepare(draft, who, through_json(result.checkpoint))
    raise AssertionError("prepare never got ready")
