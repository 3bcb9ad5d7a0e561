"""The publish task behind a publish_id: its request, its state, its processing.

States: PROCESSING_UPLOAD or PROCESSING_DOWNLOAD -> PUBLISH_COMPLETE, SEND_TO_USER_INBOX or FAILED.
"""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.sandbox import probe
from adapters.sandbox.endpoint import Call
from adapters.sandbox.processing import Processor
from adapters.sandbox.rate_windows import DAY
from adapters.sandbox.responses import Refused
from adapters.sandbox.store import Record
from adapters.sandbox.tiktok.dialect import PLATFORM, error_response
from adapters.sandbox.tiktok_account import get_max_seconds
from adapters.sandbox.tiktok_media import MediaCheck, check_images, check_video, find_video_fail_reason

if TYPE_CHECKING:
    from adapters.sandbox.context import SandboxContext

KIND = "tiktok.task"
WORKING = ("PROCESSING_UPLOAD", "PROCESSING_DOWNLOAD")
MAX_BYTES = 4 << 30
_POSTS_PER_DAY = 15
_PENDING_SHARES_PER_DAY = 5


def check_quota(call: Call, account: Record, *, direct: bool) -> None:
    """Raise Refused if the account has reached its daily limit."""
    window, limit, code = _get_daily_limit(account, direct=direct)
    if call.context.rate_windows.is_full(window, limit, DAY):
        raise Refused(error_response(code))


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


async def start(context: "SandboxContext", record: Record) -> None:
    """Count the post against the daily limit and start processing."""
    account = context.accounts.find(PLATFORM, record["account"])
    if account is not None:
        window, limit, code = _get_daily_limit(account, direct=record["direct"])
        if not context.rate_windows.take(window, limit, DAY):
            record["fail_reason"] = code
    await context.processing.start(KIND, record)


def make_processor(context: "SandboxContext") -> Processor:
    """Return the processor of tasks."""

    async def examine(record: Record) -> MediaCheck:
        if "fail_reason" in record:
            return MediaCheck(reason=record["fail_reason"] or "internal")
        return await _examine(context, record)

    return Processor(
        is_pending=lambda record: record["state"] in WORKING,
        examine=examine,
        conclude=lambda record, check: _conclude(context, record, check),
    )


async def _examine(context: "SandboxContext", record: Record) -> MediaCheck:
    account = context.accounts.find(PLATFORM, record["account"])
    if account is None:
        return MediaCheck(reason="auth_removed")
    max_seconds = get_max_seconds(account)
    if record["origin"] == "photos":
        return await check_images(context, PLATFORM, record["urls"])
    if record["origin"] == "pull":
        return await check_video(
            context, PLATFORM, record["urls"][0], max_bytes=MAX_BYTES, max_seconds=max_seconds
        )
    path = upload_path(context, record)
    if not await asyncio.to_thread(path.exists):
        return MediaCheck(reason="internal")
    facts = await asyncio.to_thread(probe.read_video, path)
    reason = find_video_fail_reason(facts, max_seconds)
    media: Record = (
        {"sha256": facts.sha256, "bytes": facts.bytes, "duration": facts.duration}
        if facts is not None
        else {"bytes": record["size"]}
    )
    return MediaCheck(reason=reason, media=(media,))


def upload_path(context: "SandboxContext", record: Record) -> Path:
    """Return the file of an upload's bytes, which is deleted after the check."""
    return context.uploads / f"tiktok-{record['key'].rpartition('.')[2]}"


def _conclude(context: "SandboxContext", record: Record, check: MediaCheck) -> None:
    record["downloaded"] = check.bytes
    if record["origin"] == "upload":
        upload_path(context, record).unlink(missing_ok=True)
    account = context.accounts.find(PLATFORM, record["account"])
    if check.reason or account is None:
        record |= {"state": "FAILED", "reason": check.reason or "auth_removed"}
    else:
        _publish(context, record, account, check)
    context.store.put(KIND, record["key"], record)


def _publish(context: "SandboxContext", record: Record, account: Record, check: MediaCheck) -> None:
    post_id = str(context.new_id())
    moderation_s = 0.0 if context.is_instant else context.settings.moderation_s
    path = "photo" if record["origin"] == "photos" else "video"
    context.publish(
        account,
        kind=("photos" if path == "photo" else "video") if record["direct"] else "draft",
        remote_id=post_id,
        handle=record["key"],
        caption=record["caption"],
        media=list(check.media),
        url=f"https://www.tiktok.com/@{account['username']}/{path}/{post_id}",
        late=moderation_s + record.get("late", 0.0),
        extra={
            "public": record["direct"] and record["privacy"] == "PUBLIC_TO_EVERYONE",
            "privacy": record["privacy"],
            "title": record["title"],
            **record["extra"],
        },
    )
    record |= {"state": "PUBLISH_COMPLETE" if record["direct"] else "SEND_TO_USER_INBOX", "post_id": post_id}
