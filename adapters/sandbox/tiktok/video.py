"""Video inits of the TikTok stand-in: direct posts and drafts, by upload or by pull."""

import secrets

from aiohttp import web

from adapters.sandbox.endpoint import Call, Endpoint
from adapters.sandbox.responses import Refused
from adapters.sandbox.store import Record
from adapters.sandbox.tiktok import task
from adapters.sandbox.tiktok.dialect import DIALECT, PLATFORM, error_response, invalid, ok
from adapters.sandbox.tiktok.post_info import flags, limit, owned, part, privacy, text, whole

INITS_A_MINUTE = 6
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
# "MB" is 10^6 in one reading of the guide and 2^20 in another; what either of them forbids is refused.
_CHUNK_LEAST = 5 * _MIB
_CHUNK_MOST = 64 * _MB
_LAST_MOST = 128 * _MB
_CHUNKS_MOST = 1000


async def direct(call: Call) -> web.Response:
    """POST /v2/post/publish/video/init/."""
    account = call.authenticate("video.publish")
    limit(call, "video", INITS_A_MINUTE)
    body = call.json()
    info = part(body, "post_info")
    facts = {"direct": True, "title": text(info, "title", _TITLE_UNITS), "privacy": privacy(account, info)}
    extra = flags(info, _FLAGS, ("brand_content_toggle",))
    if "video_cover_timestamp_ms" in info:
        extra["video_cover_timestamp_ms"] = whole(info, "video_cover_timestamp_ms")
    return await _init(call, account, body, facts | {"caption": facts["title"], "extra": extra})


async def inbox(call: Call) -> web.Response:
    """POST /v2/post/publish/inbox/video/init/."""
    account = call.authenticate("video.upload")
    limit(call, "inbox", INITS_A_MINUTE)
    facts: Record = {"direct": False, "title": "", "caption": "", "privacy": None, "extra": {}}
    return await _init(call, account, call.json(), facts)


async def _init(call: Call, account: Record, body: Record, facts: Record) -> web.Response:
    source = part(body, "source_info")
    task.check_quota(call, account, direct=facts["direct"])
    way = "pub" if facts["direct"] else "inbox"
    match source.get("source"):
        case "FILE_UPLOAD":
            sizes = _sizes(source)
            secret = secrets.token_urlsafe(24)
            facts |= {"origin": "upload", "state": "PROCESSING_UPLOAD", "upload_token": secret, **sizes}
            record = task.new(call, account, f"v_{way}_file~v2-1", facts)
            return ok({"publish_id": record["key"], "upload_url": _upload_url(call, record)})
        case "PULL_FROM_URL":
            url = owned(call, source.get("video_url"))
            facts |= {"origin": "pull", "state": "PROCESSING_DOWNLOAD", "urls": [url]}
            record = task.new(call, account, f"v_{way}_url~v2-1", facts)
            await task.start(call.context, record)
            return ok({"publish_id": record["key"]})
        case _:
            raise invalid("source must be FILE_UPLOAD or PULL_FROM_URL.")


def _upload_url(call: Call, record: Record) -> str:
    number = record["key"].rpartition(".")[2]
    query = f"upload_id={number}&upload_token={record['upload_token']}"
    call.context.store.put("tiktok.upload", number, {"task": record["key"]})
    return f"http://{call.request.host}/tiktok-upload/video/?{query}"


def _sizes(source: Record) -> Record:
    size = whole(source, "video_size", 1, task.MOST_BYTES)
    chunk = whole(source, "chunk_size", 1)
    count = whole(source, "total_chunk_count", 1, _CHUNKS_MOST)
    if count == 1 and chunk == size and size <= _CHUNK_MOST:
        return {"size": size, "chunk": chunk, "chunks": 1}
    if size < _CHUNK_LEAST:
        raise invalid("A video below 5 MB is one chunk with chunk_size equal to video_size.")
    if not _CHUNK_LEAST <= chunk <= _CHUNK_MOST:
        raise invalid("chunk_size must be from 5 MB to 64 MB.")
    if count != size // chunk:
        raise invalid("The total chunk count is invalid: it must be video_size / chunk_size, rounded down.")
    if size > _CHUNK_MOST and count == 1:
        raise invalid("A video above 64 MB needs more than one chunk.")
    if size - (count - 1) * chunk > _LAST_MOST:
        raise invalid("The last chunk must be at most 128 MB.")
    return {"size": size, "chunk": chunk, "chunks": count}


def _step(call: Call) -> str:
    try:
        source = part(call.json(), "source_info")
    except Refused:
        return "prepare"
    # A pull starts the publish: here the init is the visible call.
    return "finalize" if source.get("source") == "PULL_FROM_URL" else "prepare"


DIRECT = Endpoint(
    platform=PLATFORM,
    step=_step,
    handle=direct,
    dialect=DIALECT,
    quota_exhausted=lambda _: error_response("spam_risk_too_many_posts"),
)
INBOX = Endpoint(
    platform=PLATFORM,
    step=_step,
    handle=inbox,
    dialect=DIALECT,
    quota_exhausted=lambda _: error_response("spam_risk_too_many_pending_share"),
)
