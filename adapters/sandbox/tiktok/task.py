"""The publish task behind a publish_id: its state, its upload in chunks, its processing.

The upload host receives the chunks of a video; the last one starts publishing.
States: PROCESSING_UPLOAD or PROCESSING_DOWNLOAD -> PUBLISH_COMPLETE, SEND_TO_USER_INBOX or FAILED.
"""

import asyncio
from pathlib import Path

from aiohttp import web

from adapters.sandbox import probe, tiktok_shared
from adapters.sandbox.clock import DAY
from adapters.sandbox.context import SandboxContext
from adapters.sandbox.endpoint import Call, make_dialect
from adapters.sandbox.processing import Outcome, Task
from adapters.sandbox.responses import Refused
from adapters.sandbox.store import Record
from adapters.sandbox.tiktok.api import PLATFORM, TABLE, refuse_code
from adapters.sandbox.upload_body import Span, parse_content_range, receive_body

KIND = "tiktok.task"
_TYPES = ("video/mp4", "video/quicktime", "video/webm")
_UPLOAD_LIFE_S = 3600.0
MAX_BYTES = 4 << 30
_POSTS_PER_DAY = 15
_PENDING_SHARES_PER_DAY = 5


def check_quota(call: Call, account: Record, *, direct: bool) -> None:
    """Raise Refused if the account has reached its daily limit."""
    window, limit, code = _get_daily_limit(account, direct=direct)
    if call.context.rate_windows.is_full(window, limit, DAY):
        raise refuse_code(code)


def _get_daily_limit(account: Record, *, direct: bool) -> tuple[str, int, str]:
    if direct:
        return f"tiktok.posts:{account['remote_id']}", _POSTS_PER_DAY, "spam_risk_too_many_posts"
    shares = f"tiktok.shares:{account['remote_id']}"
    return shares, _PENDING_SHARES_PER_DAY, "spam_risk_too_many_pending_share"


def create(call: Call, account: Record, prefix: str, fields: Record) -> Record:
    """Create and store a task."""
    context = call.context
    record: Record = {"key": f"{prefix}.{context.new_id()}", "account": account["remote_id"], "reason": ""}
    record |= {
        "created": context.clock.now(),
        "uploaded": 0,
        "downloaded": 0,
        "polls": 0,
        **fields,
        **call.take_processing_faults(),
    }
    context.store.put(KIND, record["key"], record)
    return record


async def start(context: SandboxContext, record: Record) -> None:
    """Count the post against the daily limit and start processing."""
    account = context.accounts.find(PLATFORM, record["account"])
    if account is not None:
        window, limit, code = _get_daily_limit(account, direct=record["direct"])
        if not context.rate_windows.take(window, limit, DAY):
            record["fail_reason"] = code
    await context.processing.start(KIND, record)


async def _examine(context: SandboxContext, record: Record) -> Outcome:
    account = context.accounts.find(PLATFORM, record["account"])
    if account is None:
        return Outcome(error="auth_removed")
    max_seconds = tiktok_shared.get_max_seconds(account)
    if record["origin"] == "photos":
        return await tiktok_shared.check_images(context, PLATFORM, record["urls"])
    if record["origin"] == "pull":
        return await tiktok_shared.check_video(
            context, PLATFORM, record["urls"][0], max_bytes=MAX_BYTES, max_seconds=max_seconds
        )
    path = upload_path(context, record)
    if not await asyncio.to_thread(path.exists):
        return Outcome(error="internal")
    facts = await asyncio.to_thread(probe.read_video, path)
    reason = tiktok_shared.find_video_fail_reason(facts, max_seconds)
    media: Record = (
        {"sha256": facts.sha256, "bytes": facts.bytes, "duration": facts.duration}
        if facts is not None
        else {"bytes": record["size"]}
    )
    return Outcome(error=reason, media=(media,))


def upload_path(context: SandboxContext, record: Record) -> Path:
    """Return the file of an upload's bytes, which is deleted after the check."""
    return context.uploads / f"tiktok-{record['key'].rpartition('.')[2]}"


def _conclude(context: SandboxContext, record: Record, outcome: Outcome) -> None:
    record["downloaded"] = outcome.bytes
    tiktok_shared.finish_task(
        context,
        record,
        context.accounts.find(PLATFORM, record["account"]),
        outcome,
        is_draft=not record["direct"],
        is_photos=record["origin"] == "photos",
        caption=record["caption"],
        extra={"title": record["title"], **record["extra"]},
    )


TASK = Task(
    kind=KIND,
    states=("PROCESSING_UPLOAD", "PROCESSING_DOWNLOAD"),
    examine=_examine,
    fail=lambda reason: Outcome(error=reason or "internal"),
    conclude=_conclude,
    file=upload_path,
)


def _respond(status: int, headers: dict[str, str] | None = None, wait: int | None = None) -> web.Response:
    headers = headers if wait is None else {"Retry-After": str(wait)}
    return web.Response(status=status, headers=headers)


def _find_task(call: Call) -> Record | None:
    upload = call.context.store.get("tiktok.upload", call.request.query.get("upload_id", ""))
    return None if upload is None else call.context.store.get(KIND, upload["task"])


def find_upload_owner(call: Call) -> Record | None:
    """Return the account of an upload, whose requests carry no token."""
    return call.find_record_owner(_find_task(call))


def get_chunk_step(call: Call) -> str:
    """Return `finalize` for the last chunk, which is the visible call."""
    span = parse_content_range(call.request)
    return "finalize" if span is not None and span.is_exact and span.is_last else "upload"


def _check_task(call: Call) -> Record:
    record = _find_task(call)
    if record is None:
        raise Refused(_respond(404))
    if call.request.query.get("upload_token") != record["upload_token"]:
        raise Refused(_respond(403))
    if call.context.clock.now() > record["created"] + _UPLOAD_LIFE_S:
        raise Refused(_respond(403))
    return record


def _check_chunk(call: Call, record: Record) -> Span:
    span = parse_content_range(call.request)
    headers = call.request.headers
    if span is None or not span.is_exact or span.total != record["size"]:
        raise Refused(_respond(400))
    if call.request.content_type not in _TYPES or headers.get("Content-Length") != str(span.length):
        raise Refused(_respond(400))
    received = record["uploaded"]
    if span.first != received or record["state"] != "PROCESSING_UPLOAD":
        raise Refused(_respond(416, _make_progress_headers(record)))
    is_last = received // record["chunk"] >= record["chunks"] - 1
    if span.length != (record["size"] - received if is_last else record["chunk"]):
        raise Refused(_respond(400))
    return span


def _make_progress_headers(record: Record) -> dict[str, str]:
    return {"Content-Range": f"bytes 0-{record['uploaded']}/{record['size']}"}


async def put_chunk(call: Call) -> web.Response:
    """PUT of one chunk: 206 if more are missing, 201 if all are received."""
    record = _check_task(call)
    span = _check_chunk(call, record)
    received = record["uploaded"]
    taken = await receive_body(call.request, upload_path(call.context, record), received, span.length)
    if taken.is_aborted:
        raise Refused(_respond(400))
    if record["uploaded"] != received:  # another request has stored the same chunk
        raise Refused(_respond(416, _make_progress_headers(record)))
    record["uploaded"] += span.length
    if record["uploaded"] == record["size"]:
        record |= {**call.take_processing_faults()}
    call.context.store.put(KIND, record["key"], record)
    if record["uploaded"] < record["size"]:
        return _respond(206, _make_progress_headers(record))
    await start(call.context, record)
    return _respond(201, _make_progress_headers(record))


UPLOAD_DIALECT = make_dialect(_respond, TABLE["upload_errors"], lambda _: None)
