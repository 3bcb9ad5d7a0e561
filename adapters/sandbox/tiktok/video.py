"""Video posts: inits of direct posts and drafts, by upload or from a URL."""

import secrets

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

INITS_PER_MINUTE = 6
UPLOAD_LIFE_S = 3600.0
_TITLE_UNITS = 2200
_FLAGS = (
    "disable_duet",
    "disable_comment",
    "disable_stitch",
    "brand_content_toggle",
    "brand_organic_toggle",
    "is_aigc",
)
_MB = 1_000_000
_MIB = 1 << 20
# The guide does not say whether "MB" is 10^6 or 2^20; a size that either reading forbids is refused.
_MIN_CHUNK = 5 * _MIB
_MAX_CHUNK = 64 * _MB
_MAX_LAST_CHUNK = 128 * _MB
_MAX_CHUNKS = 1000


async def init_direct(call: Call) -> web.Response:
    """POST /v2/post/publish/video/init/."""
    account = call.authenticate("video.publish")
    check_rate(call, "video", INITS_PER_MINUTE)
    body = call.json()
    info = read_object(body, "post_info")
    facts = {
        "direct": True,
        "title": read_text(info, "title", _TITLE_UNITS),
        "privacy": read_privacy(account, info),
    }
    extra = read_flags(info, _FLAGS, ("brand_content_toggle",))
    if "video_cover_timestamp_ms" in info:
        extra["video_cover_timestamp_ms"] = read_whole(info, "video_cover_timestamp_ms")
    return await _init(call, account, body, facts | {"caption": facts["title"], "extra": extra})


async def init_inbox(call: Call) -> web.Response:
    """POST /v2/post/publish/inbox/video/init/."""
    account = call.authenticate("video.upload")
    check_rate(call, "inbox", INITS_PER_MINUTE)
    facts: Record = {"direct": False, "title": "", "caption": "", "privacy": None, "extra": {}}
    return await _init(call, account, call.json(), facts)


async def _init(call: Call, account: Record, body: Record, facts: Record) -> web.Response:
    source = read_object(body, "source_info")
    task.check_quota(call, account, direct=facts["direct"])
    target = "pub" if facts["direct"] else "inbox"
    match source.get("source"):
        case "FILE_UPLOAD":
            sizes = _read_sizes(source)
            secret = secrets.token_urlsafe(24)
            facts |= {"origin": "upload", "state": "PROCESSING_UPLOAD", "upload_token": secret, **sizes}
            record = task.create(call, account, f"v_{target}_file~v2-1", facts)
            return ok({"publish_id": record["key"], "upload_url": _create_upload_url(call, record)})
        case "PULL_FROM_URL":
            url = check_url(call, source.get("video_url"))
            facts |= {"origin": "pull", "state": "PROCESSING_DOWNLOAD", "urls": [url]}
            record = task.create(call, account, f"v_{target}_url~v2-1", facts)
            await task.start(call.context, record)
            return ok({"publish_id": record["key"]})
        case _:
            raise refuse("source must be FILE_UPLOAD or PULL_FROM_URL.")


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
        raise refuse("A video below 5 MB is one chunk with chunk_size equal to video_size.")
    if not _MIN_CHUNK <= chunk <= _MAX_CHUNK:
        raise refuse("chunk_size must be from 5 MB to 64 MB.")
    if count != size // chunk:
        raise refuse("The total chunk count is invalid: it must be video_size / chunk_size, rounded down.")
    if size > _MAX_CHUNK and count == 1:
        raise refuse("A video above 64 MB needs more than one chunk.")
    if size - (count - 1) * chunk > _MAX_LAST_CHUNK:
        raise refuse("The last chunk must be at most 128 MB.")
    return {"size": size, "chunk": chunk, "chunks": count}


def _get_step(call: Call) -> str:
    try:
        source = read_object(call.json(), "source_info")
    except Refused:
        return "prepare"
    # Without an upload the init starts publishing: it is the visible call.
    return "finalize" if source.get("source") == "PULL_FROM_URL" else "prepare"


DIRECT = Endpoint(
    platform=PLATFORM,
    step=_get_step,
    handle=init_direct,
    dialect=DIALECT,
    quota_exhausted=lambda _: error_response("spam_risk_too_many_posts"),
)
INBOX = Endpoint(
    platform=PLATFORM,
    step=_get_step,
    handle=init_inbox,
    dialect=DIALECT,
    quota_exhausted=lambda _: error_response("spam_risk_too_many_pending_share"),
)
