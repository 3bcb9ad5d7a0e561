"""Drafts, accounts and the vendor's example responses, copied byte for byte."""

from __future__ import annotations

import json
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
from tests.adapters.scripted_server import Reply

TOKEN = "AQV-secret-token"
REFRESH = "AQR-secret-token"
APP_SECRET = "app-secret-value"
UPLOAD_SECRET = "upload-secret-value"
SECRETS = (TOKEN, REFRESH, APP_SECRET, UPLOAD_SECRET)
ORG = "urn:li:organization:5583111"
MEMBER = "urn:li:person:8675309"
VERSION = "202609"
CAPTION = "Casa #tiles"
PART = 4_194_304

IMAGE = "urn:li:image:C4E10AQFoyyAjHPMQuQ"
IMAGE_STARTED = (
    '{"value":{"uploadUrlExpiresAt":1650567510704,"uploadUrl":"BASE/dms-uploads/' + UPLOAD_SECRET + '",'
    '"image":"urn:li:image:C4E10AQFoyyAjHPMQuQ"}}'
)
VIDEO = "urn:li:video:C5F10AQGKQg_6y2a4sQ"
VIDEO_STARTED = (
    '{"value":{"uploadUrlsExpireAt":1633540000000,"video":"urn:li:video:C5F10AQGKQg_6y2a4sQ",\n'
    ' "uploadInstructions":[{"uploadUrl":"BASE/dms-uploads/1","firstByte":0,"lastByte":4194303},'
    '{"uploadUrl":"BASE/dms-uploads/2","firstByte":4194304,"lastByte":4195003}],\n'
    ' "uploadToken":""}}'
)
SHARE = "urn:li:share:6844785523593134080"
POSTED = Reply(status=201, body="", headers={"x-restli-id": SHARE})
DUPLICATE = (
    '{"errorDetailType":"com.linkedin.common.error.BadRequest","message":"… Content is a duplicate of '
    'urn:li:share:6789","errorDetails":{"inputErrors":[{"description":"Duplicate post is detected","input":{},'
    '"code":"DUPLICATE_POST"}]},"status":422}'
)
DENIED = '{"status":403,"code":"ACCESS_DENIED","message":"…","serviceErrorCode":100}'
NO_VERSION = '{"status":426,"code":"NONEXISTENT_VERSION","message":"Requested version 2024… is not active"}'
GRANT = (
    '{"access_token":"AQV-new","expires_in":5184000,"refresh_token":"AQR-new","refresh_token_expires_in":31536000,'
    '"scope":"w_organization_social,r_organization_social,rw_organization_admin"}'
)


def image_started(number: int, ends: int | None = None) -> str:
    value = {"uploadUrl": f"BASE/dms-uploads/{number}", "image": f"urn:li:image:{number}"}
    return json.dumps({"value": {**value, **({"uploadUrlExpiresAt": ends} if ends else {})}})


def build_media_status(word: str, **more: str) -> str:
    return json.dumps({"owner": ORG, "status": word, **more})


def build_error(status: int, code: str) -> Reply:
    return Reply(status=status, body=json.dumps({"status": status, "code": code, "message": "…"}))


def build_listing(*posts: dict[str, Any]) -> str:
    return json.dumps({"paging": {"start": 0, "count": 100}, "elements": list(posts)})


def build_post(urn: str = SHARE, *images: str, **changes: Any) -> dict[str, Any]:
    content = (
        {"media": {"id": images[0], "altText": "…"}}
        if len(images) == 1
        else {"multiImage": {"images": [{"id": image} for image in images]}}
    )
    known = {
        "id": urn,
        "author": ORG,
        "commentary": CAPTION,
        "lifecycleState": "PUBLISHED",
        "createdAt": 1764000000000,
        "content": content,
    }
    return {**known, **changes}


def build_settings(base: str, **options: Any) -> PlatformSettings:
    return PlatformSettings(
        hosts={"api": f"{base}/api", "www": f"{base}/www"},
        app_id="77abc",
        app_secret=SecretStr(APP_SECRET),
        version=VERSION,
        options=options,
    )


def build_media(kind: str, facts: MediaFacts) -> Media:
    name = "v.mp4" if kind == "video" else "1.jpg"
    return Media(
        url=f"https://cdn.example.com/{name}",
        kind="video" if kind == "video" else "image",
        facts=facts,
        stream=stream,
    )


def image(size: int = 5000, **facts: Any) -> Media:
    known = MediaFacts(content_type="image/jpeg", bytes=size, width=1000, height=1500)
    return build_media("image", replace(known, **facts))


def video(size: int = PART + 700, **facts: Any) -> Media:
    known = MediaFacts(
        content_type="video/mp4", bytes=size, width=1000, height=1500, duration=20.0, codec="h264"
    )
    return build_media("video", replace(known, **facts))


def text(**options: str) -> Draft:
    return Draft(delivery_id="d1", caption=CAPTION, kind="text", media=(), options=options)


def document(size: int = 5000, pages: int | None = 12, **facts: Any) -> Draft:
    known = MediaFacts(content_type="application/pdf", bytes=size, pages=pages)
    file = Media(
        url="https://cdn.example.com/c.pdf", kind="document", facts=replace(known, **facts), stream=stream
    )
    return Draft(delivery_id="d1", caption=CAPTION, kind="document", media=(file,), title="Catalogue")


def build_draft(*media: Media, caption: str = CAPTION) -> Draft:
    chosen = media or (image(),)
    return Draft(
        delivery_id="d1",
        caption=caption,
        kind="video" if chosen[0].kind == "video" else "slideshow",
        media=chosen,
    )


def build_done_checkpoint(*urns: str, **more: Any) -> dict[str, Any]:
    """Return the checkpoint of a post whose media are all available."""
    closed = {"closed": True} if urns[0].startswith("urn:li:video") else {}
    return {"media": [{"urn": urn, "sent": True, **closed, "available": True} for urn in urns], **more}


def account(connection: str = "organization", refresh: str | None = REFRESH, **changes: Any) -> Account:
    remote_id = MEMBER if connection == "person" else ORG
    scopes = ("w_member_social",)
    known = build_account(Platform.LINKEDIN, connection, remote_id, TOKEN, refresh, scopes=scopes)
    return replace(known, **changes)
