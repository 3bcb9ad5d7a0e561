"""Photo inits of the TikTok stand-in: pull only, direct or as a draft; the init is the visible call."""

from aiohttp import web

from adapters.sandbox.endpoint import Call, Endpoint
from adapters.sandbox.responses import Refused
from adapters.sandbox.store import Record
from adapters.sandbox.tiktok import task
from adapters.sandbox.tiktok.dialect import DIALECT, PLATFORM, error_response, invalid, ok
from adapters.sandbox.tiktok.post_info import flags, limit, owned, part, privacy, text, whole

_INITS_A_MINUTE = 6
_TITLE_UNITS = 90
_DESCRIPTION_UNITS = 4000
_PHOTOS_MOST = 35
_FLAGS = ("disable_comment", "auto_add_music", "brand_content_toggle", "brand_organic_toggle")
_NEEDED = ("brand_content_toggle", "brand_organic_toggle")
_SCOPES = {"DIRECT_POST": "video.publish", "MEDIA_UPLOAD": "video.upload"}


async def init(call: Call) -> web.Response:
    """POST /v2/post/publish/content/init/."""
    body = call.json()
    mode = body.get("post_mode")
    account = call.authenticate(*([_SCOPES[mode]] if mode in _SCOPES else _SCOPES.values()))
    limit(call, "content", _INITS_A_MINUTE)
    if mode not in _SCOPES:
        raise invalid("post_mode must be DIRECT_POST or MEDIA_UPLOAD.")
    if body.get("media_type") != "PHOTO":
        raise invalid("media_type must be PHOTO.")
    facts = _facts(call, account, body, is_direct=mode == "DIRECT_POST")
    task.check_quota(call, account, direct=facts["direct"])
    record = task.new(call, account, "p_pub_url~v2", facts)
    await task.start(call.context, record)
    return ok({"publish_id": record["key"]})


def _facts(call: Call, account: Record, body: Record, *, is_direct: bool) -> Record:
    info, source = part(body, "post_info"), part(body, "source_info")
    title, description = text(info, "title", _TITLE_UNITS), text(info, "description", _DESCRIPTION_UNITS)
    level = privacy(account, info) if is_direct else None
    if not is_direct and account["options"].get("old_app"):
        raise Refused(error_response("app_version_check_failed"))
    extra = flags(info, _FLAGS, _NEEDED) if is_direct else {}
    urls = _urls(call, source)
    if is_direct or "photo_cover_index" in source:
        extra["photo_cover_index"] = whole(source, "photo_cover_index", 0, len(urls) - 1)
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


def _urls(call: Call, source: Record) -> list[str]:
    if source.get("source") != "PULL_FROM_URL":
        raise invalid("Photos can only be sent by PULL_FROM_URL.")
    urls = source.get("photo_images")
    if not isinstance(urls, list) or not 1 <= len(urls) <= _PHOTOS_MOST:
        raise invalid(f"photo_images must be a list of 1 to {_PHOTOS_MOST} URLs.")
    return [owned(call, url) for url in urls]


def _exhausted(call: Call) -> web.Response:
    is_draft = b"MEDIA_UPLOAD" in call.body
    return error_response("spam_risk_too_many_pending_share" if is_draft else "spam_risk_too_many_posts")


INIT = Endpoint(platform=PLATFORM, step="finalize", handle=init, dialect=DIALECT, quota_exhausted=_exhausted)
