"""Photo posts: TikTok fetches the images from URLs. The init is the visible call, for direct posts and drafts."""

from aiohttp import web

from adapters.sandbox.endpoint import Call, Endpoint
from adapters.sandbox.responses import Refused
from adapters.sandbox.store import Record
from adapters.sandbox.tiktok import task
from adapters.sandbox.tiktok.dialect import DIALECT, PLATFORM, error_response, ok, refuse
from adapters.sandbox.tiktok.post_info import (
    check_rate,
    check_url,
    read_flags,
    read_object,
    read_privacy,
    read_text,
    read_whole,
)

_INITS_PER_MINUTE = 6
_TITLE_UNITS = 90
_DESCRIPTION_UNITS = 4000
_MAX_PHOTOS = 35
_FLAGS = ("disable_comment", "auto_add_music", "brand_content_toggle", "brand_organic_toggle")
_REQUIRED_FLAGS = ("brand_content_toggle", "brand_organic_toggle")
_SCOPES = {"DIRECT_POST": "video.publish", "MEDIA_UPLOAD": "video.upload"}


async def init(call: Call) -> web.Response:
    """POST /v2/post/publish/content/init/."""
    body = call.json()
    mode = body.get("post_mode")
    account = call.authenticate(*([_SCOPES[mode]] if mode in _SCOPES else _SCOPES.values()))
    check_rate(call, "content", _INITS_PER_MINUTE)
    if mode not in _SCOPES:
        raise refuse("post_mode must be DIRECT_POST or MEDIA_UPLOAD.")
    if body.get("media_type") != "PHOTO":
        raise refuse("media_type must be PHOTO.")
    facts = _read_post(call, account, body, is_direct=mode == "DIRECT_POST")
    task.check_quota(call, account, direct=facts["direct"])
    record = task.create(call, account, "p_pub_url~v2", facts)
    await task.start(call.context, record)
    return ok({"publish_id": record["key"]})


def _read_post(call: Call, account: Record, body: Record, *, is_direct: bool) -> Record:
    info, source = read_object(body, "post_info"), read_object(body, "source_info")
    title, description = (
        read_text(info, "title", _TITLE_UNITS),
        read_text(info, "description", _DESCRIPTION_UNITS),
    )
    level = read_privacy(account, info) if is_direct else None
    if not is_direct and account["options"].get("old_app"):
        raise Refused(error_response("app_version_check_failed"))
    extra = read_flags(info, _FLAGS, _REQUIRED_FLAGS) if is_direct else {}
    urls = _read_urls(call, source)
    if is_direct or "photo_cover_index" in source:
        extra["photo_cover_index"] = read_whole(source, "photo_cover_index", 0, len(urls) - 1)
    return {
        "origin": "photos",
        "state": "PROCESSING_DOWNLOAD",
        "direct": is_direct,
        "title": title,
        "caption": description or title,
        "privacy": level,
        "urls": urls,
        "extra": {**extra, "description": description},
    }


def _read_urls(call: Call, source: Record) -> list[str]:
    if source.get("source") != "PULL_FROM_URL":
        raise refuse("Photos can only be sent by PULL_FROM_URL.")
    urls = source.get("photo_images")
    if not isinstance(urls, list) or not 1 <= len(urls) <= _MAX_PHOTOS:
        raise refuse(f"photo_images must be a list of 1 to {_MAX_PHOTOS} URLs.")
    return [check_url(call, url) for url in urls]


def _quota_exhausted(call: Call) -> web.Response:
    is_draft = b"MEDIA_UPLOAD" in call.body
    return error_response("spam_risk_too_many_pending_share" if is_draft else "spam_risk_too_many_posts")


INIT = Endpoint(
    platform=PLATFORM, step="finalize", handle=init, dialect=DIALECT, quota_exhausted=_quota_exhausted
)
