"""Inits of TikTok posts: videos by upload or from a URL, photos from URLs; direct posts and drafts.

An init that needs no upload is the visible call.
"""

import secrets

from aiohttp import web

from adapters.sandbox.endpoint import Call
from adapters.sandbox.responses import Refused
from adapters.sandbox.store import Record
from adapters.sandbox.tiktok import api, task
from adapters.sandbox.tiktok_shared import count_utf16_units, list_privacy_levels

_INITS_PER_MINUTE = 6
_VIDEO_TITLE_UNITS = 2200
_MB = 1_000_000
_MIB = 1 << 20
# The guide does not say whether "MB" is 10^6 or 2^20; a size that either reading forbids is refused.
_MIN_CHUNK = 5 * _MIB
_MAX_CHUNK = 64 * _MB
_MAX_LAST_CHUNK = 128 * _MB
_MAX_CHUNKS = 1000
_PHOTO_TITLE_UNITS = 90
_DESCRIPTION_UNITS = 4000
_MAX_PHOTOS = 35
_REQUIRED_FLAGS = ("brand_content_toggle", "brand_organic_toggle")
_SCOPES = {"DIRECT_POST": "video.publish", "MEDIA_UPLOAD": "video.upload"}


def _read_object(body: Record, name: str) -> Record:
    """Return an object of the body; {} if absent."""
    value = body.get(name, {})
    if not isinstance(value, dict):
        raise api.refuse(f"{name} must be an object.")
    return value


def _read_text(info: Record, name: str, max_units: int) -> str:
    """Return a text of at most `max_units` UTF-16 units; empty if absent."""
    value = info.get(name, "")
    if not isinstance(value, str) or count_utf16_units(value) > max_units:
        raise api.refuse(f"{name} must be a text of at most {max_units} UTF-16 units.")
    return value


def read_whole(info: Record, name: str, low: int = 0, high: int | None = None) -> int:
    """Return an integer from `low` to `high`."""
    value = info.get(name)
    if (
        not isinstance(value, int)
        or isinstance(value, bool)
        or value < low
        or (high is not None and value > high)
    ):
        raise api.refuse(f"{name} must be a whole number of at least {low}.")
    return value


def _read_flags(info: Record, names: tuple[str, ...], required: tuple[str, ...]) -> Record:
    """Return the boolean fields in `names` that are present; fields in `required` must be."""
    for name in required:
        if name not in info:
            raise api.refuse(f"{name} is required.")
    sent = {name: info[name] for name in names if name in info}
    for name, value in sent.items():
        if not isinstance(value, bool):
            raise api.refuse(f"{name} must be true or false.")
    return sent


def _read_privacy(account: Record, info: Record) -> str:
    """Return the privacy level; raise Refused if the account may not use it."""
    level = info.get("privacy_level")
    if not isinstance(level, str) or not level:
        raise api.refuse("privacy_level is required.")
    if level not in list_privacy_levels(account):
        raise api.refuse_code("privacy_level_option_mismatch")
    if account["options"].get("unaudited") and (level != "SELF_ONLY" or not account["private"]):
        raise api.refuse_code("unaudited_client_can_only_post_to_private_accounts")
    if info.get("brand_content_toggle") is True and level == "SELF_ONLY":
        raise api.refuse("Branded content cannot be SELF_ONLY.")
    return level


def _check_url(call: Call, url: object) -> str:
    """Return a URL that TikTok may fetch; only the sandbox's media host counts as verified."""
    if not isinstance(url, str) or not url:
        raise api.refuse("The URL is missing.")
    if not call.context.fetcher.is_reachable(url):
        raise api.refuse_code("url_ownership_unverified")
    return url


async def init_direct(call: Call) -> web.Response:
    """POST /v2/post/publish/video/init/."""
    account = call.authenticate("video.publish")
    api.check_rate(call, "video", _INITS_PER_MINUTE)
    body = call.json()
    info = _read_object(body, "post_info")
    facts = {
        "direct": True,
        "title": _read_text(info, "title", _VIDEO_TITLE_UNITS),
        "privacy": _read_privacy(account, info),
    }
    extra = _read_flags(info, api.TABLE["flags"]["video"], ("brand_content_toggle",))
    if "video_cover_timestamp_ms" in info:
        extra["video_cover_timestamp_ms"] = read_whole(info, "video_cover_timestamp_ms")
    return await _init_video(call, account, body, facts | {"caption": facts["title"], "extra": extra})


async def init_inbox(call: Call) -> web.Response:
    """POST /v2/post/publish/inbox/video/init/."""
    account = call.authenticate("video.upload")
    api.check_rate(call, "inbox", _INITS_PER_MINUTE)
    facts: Record = {"direct": False, "title": "", "caption": "", "privacy": None, "extra": {}}
    return await _init_video(call, account, call.json(), facts)


async def _init_video(call: Call, account: Record, body: Record, facts: Record) -> web.Response:
    source = _read_object(body, "source_info")
    task.check_quota(call, account, direct=facts["direct"])
    target = "pub" if facts["direct"] else "inbox"
    match source.get("source"):
        case "FILE_UPLOAD":
            sizes = _read_sizes(source)
            secret = secrets.token_urlsafe(24)
            facts |= {"origin": "upload", "state": "PROCESSING_UPLOAD", "upload_token": secret, **sizes}
            record = task.create(call, account, f"v_{target}_file~v2-1", facts)
            return api.ok({"publish_id": record["key"], "upload_url": _create_upload_url(call, record)})
        case "PULL_FROM_URL":
            url = _check_url(call, source.get("video_url"))
            facts |= {"origin": "pull", "state": "PROCESSING_DOWNLOAD", "urls": [url]}
            record = task.create(call, account, f"v_{target}_url~v2-1", facts)
            await task.start(call.context, record)
            return api.ok({"publish_id": record["key"]})
        case _:
            raise api.refuse("source must be FILE_UPLOAD or PULL_FROM_URL.")


def _create_upload_url(call: Call, record: Record) -> str:
    number = record["key"].rpartition(".")[2]
    query = f"upload_id={number}&upload_token={record['upload_token']}"
    call.context.store.put("tiktok.upload", number, {"task": record["key"]})
    return f"http://{call.request.host}/tiktok-upload/video/?{query}"


def _read_sizes(source: Record) -> Record:
    size = read_whole(source, "video_size", 1, task.MAX_BYTES)
    chunk = read_whole(source, "chunk_size", 1)
    count = read_whole(source, "total_chunk_count", 1, _MAX_CHUNKS)
    if count == 1 and chunk == size and size <= _MAX_CHUNK:
        return {"size": size, "chunk": chunk, "chunks": 1}
    if size < _MIN_CHUNK:
        raise api.refuse("A video below 5 MB is one chunk with chunk_size equal to video_size.")
    if not _MIN_CHUNK <= chunk <= _MAX_CHUNK:
        raise api.refuse("chunk_size must be from 5 MB to 64 MB.")
    if count != size // chunk:
        raise api.refuse(
            "The total chunk count is invalid: it must be video_size / chunk_size, rounded down."
        )
    if size > _MAX_CHUNK and count == 1:
        raise api.refuse("A video above 64 MB needs more than one chunk.")
    if size - (count - 1) * chunk > _MAX_LAST_CHUNK:
        raise api.refuse("The last chunk must be at most 128 MB.")
    return {"size": size, "chunk": chunk, "chunks": count}


def get_init_step(call: Call) -> str:
    """Return `finalize` for an init from a URL, which is the visible call."""
    try:
        source = _read_object(call.json(), "source_info")
    except Refused:
        return "prepare"
    return "finalize" if source.get("source") == "PULL_FROM_URL" else "prepare"


async def init_photos(call: Call) -> web.Response:
    """POST /v2/post/publish/content/init/."""
    body = call.json()
    mode = body.get("post_mode")
    account = call.authenticate(*([_SCOPES[mode]] if mode in _SCOPES else _SCOPES.values()))
    api.check_rate(call, "content", _INITS_PER_MINUTE)
    if mode not in _SCOPES:
        raise api.refuse("post_mode must be DIRECT_POST or MEDIA_UPLOAD.")
    if body.get("media_type") != "PHOTO":
        raise api.refuse("media_type must be PHOTO.")
    facts = _read_photo_post(call, account, body, is_direct=mode == "DIRECT_POST")
    task.check_quota(call, account, direct=facts["direct"])
    record = task.create(call, account, "p_pub_url~v2", facts)
    await task.start(call.context, record)
    return api.ok({"publish_id": record["key"]})


def _read_photo_post(call: Call, account: Record, body: Record, *, is_direct: bool) -> Record:
    info, source = _read_object(body, "post_info"), _read_object(body, "source_info")
    title, description = (
        _read_text(info, "title", _PHOTO_TITLE_UNITS),
        _read_text(info, "description", _DESCRIPTION_UNITS),
    )
    level = _read_privacy(account, info) if is_direct else None
    if not is_direct and account["options"].get("old_app"):
        raise api.refuse_code("app_version_check_failed")
    extra = _read_flags(info, api.TABLE["flags"]["photo"], _REQUIRED_FLAGS) if is_direct else {}
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
        raise api.refuse("Photos can only be sent by PULL_FROM_URL.")
    urls = source.get("photo_images")
    if not isinstance(urls, list) or not 1 <= len(urls) <= _MAX_PHOTOS:
        raise api.refuse(f"photo_images must be a list of 1 to {_MAX_PHOTOS} URLs.")
    return [_check_url(call, url) for url in urls]


def refuse_photo_quota(call: Call) -> web.Response:
    """Return the error of an exhausted daily limit of posts, or of drafts."""
    is_draft = b"MEDIA_UPLOAD" in call.body
    return api.error_response("spam_risk_too_many_pending_share" if is_draft else "spam_risk_too_many_posts")
