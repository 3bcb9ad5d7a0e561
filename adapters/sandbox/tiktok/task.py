"""One publish_id of the TikTok stand-in: what it is for, where it stands, and how it ends.

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
from adapters.sandbox.tiktok_media import Verdict, check_film, check_pictures, film_reason

if TYPE_CHECKING:
    from adapters.sandbox.context import SandboxContext

KIND = "tiktok.task"
WORKING = ("PROCESSING_UPLOAD", "PROCESSING_DOWNLOAD")
MOST_BYTES = 4 << 30
_POSTS_A_DAY = 15
_PENDING_SHARES_A_DAY = 5
_LONGEST_S = 600


def options(account: Record) -> list[str]:
    """The privacy levels the account may choose from."""
    first = "FOLLOWER_OF_CREATOR" if account["private"] else "PUBLIC_TO_EVERYONE"
    return [first, "MUTUAL_FOLLOW_FRIENDS", "SELF_ONLY"]


def longest(account: Record) -> int:
    """The account's longest video, in seconds."""
    return int(account["options"].get("max_video_post_duration_sec", _LONGEST_S))


def check_quota(call: Call, account: Record, *, direct: bool) -> None:
    """Refuse when the account has used up its day."""
    window, limit, code = _quota(account, direct=direct)
    if call.context.rate_windows.is_full(window, limit, DAY):
        raise Refused(error_response(code))


def _quota(account: Record, *, direct: bool) -> tuple[str, int, str]:
    if direct:
        return f"tiktok.posts:{account['remote_id']}", _POSTS_A_DAY, "spam_risk_too_many_posts"
    shares = f"tiktok.shares:{account['remote_id']}"
    return shares, _PENDING_SHARES_A_DAY, "spam_risk_too_many_pending_share"


def new(call: Call, account: Record, prefix: str, facts: Record) -> Record:
    """Make a task and keep it."""
    context = call.context
    record: Record = {"key": f"{prefix}.{context.number()}", "account": account["remote_id"], "reason": ""}
    record |= {
        "created": context.clock.now(),
        "uploaded": 0,
        "downloaded": 0,
        "polls": 0,
        **facts,
        **call.take_processing_faults(),
    }
    context.store.put(KIND, record["key"], record)
    return record


async def start(context: "SandboxContext", record: Record) -> None:
    """Everything TikTok needs has arrived, or can be pulled: count the post, and work on it."""
    account = context.accounts.find(PLATFORM, record["account"])
    if account is not None:
        window, limit, code = _quota(account, direct=record["direct"])
        if not context.rate_windows.take(window, limit, DAY):
            record["fail_reason"] = code
    await context.processing.start(KIND, record)


def make_processor(context: "SandboxContext") -> Processor:
    """How tasks are worked on."""

    async def examine(record: Record) -> Verdict:
        if "fail_reason" in record:
            return Verdict(reason=record["fail_reason"] or "internal")
        return await _examine(context, record)

    return Processor(
        is_pending=lambda record: record["state"] in WORKING,
        examine=examine,
        conclude=lambda record, verdict: _conclude(context, record, verdict),
    )


async def _examine(context: "SandboxContext", record: Record) -> Verdict:
    account = context.accounts.find(PLATFORM, record["account"])
    if account is None:
        return Verdict(reason="auth_removed")
    most_seconds = longest(account)
    if record["origin"] == "photos":
        return await check_pictures(context, PLATFORM, record["urls"])
    if record["origin"] == "pull":
        return await check_film(context, PLATFORM, record["urls"][0], most=MOST_BYTES, longest=most_seconds)
    path = upload_path(context, record)
    if not await asyncio.to_thread(path.exists):
        return Verdict(reason="internal")
    facts = await asyncio.to_thread(probe.read_video, path)
    reason = film_reason(facts, most_seconds)
    told = {"sha256": facts.sha256, "bytes": facts.bytes} if facts is not None else {"bytes": record["size"]}
    return Verdict(reason=reason, media=(told,))


def upload_path(context: "SandboxContext", record: Record) -> Path:
    """Where the bytes of an upload are kept until they are looked at."""
    return context.uploads / f"tiktok-{record['key'].rpartition('.')[2]}"


def _conclude(context: "SandboxContext", record: Record, verdict: Verdict) -> None:
    record["downloaded"] = verdict.bytes
    if record["origin"] == "upload":
        upload_path(context, record).unlink(missing_ok=True)
    account = context.accounts.find(PLATFORM, record["account"])
    if verdict.reason or account is None:
        record |= {"state": "FAILED", "reason": verdict.reason or "auth_removed"}
    else:
        _go_live(context, record, account, verdict)
    context.store.put(KIND, record["key"], record)


def _go_live(context: "SandboxContext", record: Record, account: Record, verdict: Verdict) -> None:
    post_id = str(context.number())
    settle = 0.0 if context.instant else context.settings.moderation_s
    sort = "photo" if record["origin"] == "photos" else "video"
    context.publish(
        account,
        kind=("photos" if sort == "photo" else "video") if record["direct"] else "draft",
        remote_id=post_id,
        handle=record["key"],
        caption=record["caption"],
        media=list(verdict.media),
        url=f"https://www.tiktok.com/@{account['username']}/{sort}/{post_id}",
        late=settle + record.get("late", 0.0),
        extra={
            "public": record["direct"] and record["privacy"] == "PUBLIC_TO_EVERYONE",
            "privacy": record["privacy"],
            "title": record["title"],
            **record["extra"],
        },
    )
    record |= {"state": "PUBLISH_COMPLETE" if record["direct"] else "SEND_TO_USER_INBOX", "post_id": post_id}
