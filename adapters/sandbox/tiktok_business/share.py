"""One share_id of the TikTok Business stand-in: what was asked for, where it stands, how it ends.

States: PROCESSING_DOWNLOAD -> PUBLISH_COMPLETE, SEND_TO_USER_INBOX or FAILED.
"""

from typing import TYPE_CHECKING

from adapters.sandbox.endpoint import Call
from adapters.sandbox.processing import Processor
from adapters.sandbox.store import Record
from adapters.sandbox.tiktok_business.dialect import PLATFORM
from adapters.sandbox.tiktok_media import THUMBNAIL_FORMATS, Verdict, check_film, check_pictures

if TYPE_CHECKING:
    from adapters.sandbox.context import SandboxContext

KIND = "tiktok_business.share"
_MOST_BYTES = 1 << 30
_LONGEST_S = 600


def options(account: Record) -> list[str]:
    """The privacy levels the account may choose from."""
    first = "FOLLOWER_OF_CREATOR" if account["private"] else "PUBLIC_TO_EVERYONE"
    return [first, "MUTUAL_FOLLOW_FRIENDS", "SELF_ONLY"]


def longest(account: Record) -> int:
    """The account's longest video, in seconds."""
    return int(account["options"].get("max_video_post_duration_sec", _LONGEST_S))


async def start(call: Call, account: Record, facts: Record) -> Record:
    """Make the share and work on it: this is the visible step."""
    context = call.context
    prefix = "p_pub_url~v1" if facts["sort"] == "photos" else "v_pub_url~v1"
    record: Record = {
        "key": f"{prefix}.{context.number()}",
        "account": account["remote_id"],
        "reason": "",
        "polls": 0,
    }
    record |= {
        "state": "PROCESSING_DOWNLOAD",
        "created": context.clock.now(),
        **facts,
        **call.take_processing_faults(),
    }
    context.store.put(KIND, record["key"], record)
    await context.processing.start(KIND, record)
    return record


def make_processor(context: "SandboxContext") -> Processor:
    """How shares are worked on."""

    async def examine(record: Record) -> Verdict:
        if "fail_reason" in record:
            return Verdict(reason=record["fail_reason"] or "internal")
        return await _examine(context, record)

    return Processor(
        is_pending=lambda record: record["state"] == "PROCESSING_DOWNLOAD",
        examine=examine,
        conclude=lambda record, verdict: _conclude(context, record, verdict),
    )


async def _examine(context: "SandboxContext", record: Record) -> Verdict:
    account = context.accounts.find(PLATFORM, record["account"])
    if account is None:
        return Verdict(reason="auth_removed")
    if record["sort"] == "photos":
        return await check_pictures(context, PLATFORM, record["urls"])
    verdict = await check_film(
        context, PLATFORM, record["urls"][0], most=_MOST_BYTES, longest=longest(account)
    )
    if not verdict.reason and record["thumbnail_url"] is not None:
        thumbnail = await check_pictures(context, PLATFORM, [record["thumbnail_url"]], THUMBNAIL_FORMATS)
        return verdict if not thumbnail.reason else thumbnail
    return await _check_offset(context, record, verdict)


async def _check_offset(context: "SandboxContext", record: Record, verdict: Verdict) -> Verdict:
    offset = record["info"].get("thumbnail_offset")
    if verdict.reason or offset is None:
        return verdict
    film = (await context.fetcher.fetch_video(PLATFORM, record["urls"][0], _MOST_BYTES)).video
    is_beyond = film is None or offset > film.duration * 1000
    return Verdict(reason="picture_size_check_failed") if is_beyond else verdict


def _conclude(context: "SandboxContext", record: Record, verdict: Verdict) -> None:
    account = context.accounts.find(PLATFORM, record["account"])
    if verdict.reason or account is None:
        record |= {"state": "FAILED", "reason": verdict.reason or "auth_removed"}
    else:
        _go_live(context, record, account, verdict)
    context.store.put(KIND, record["key"], record)


def _go_live(context: "SandboxContext", record: Record, account: Record, verdict: Verdict) -> None:
    post_id = str(context.number())
    settle = 0.0 if context.instant else context.settings.moderation_s
    path = "photo" if record["sort"] == "photos" else "video"
    info = record["info"]
    context.publish(
        account,
        kind="draft" if record["draft"] else record["sort"],
        remote_id=post_id,
        handle=record["key"],
        caption=info.get("caption", ""),
        media=list(verdict.media),
        url=f"https://www.tiktok.com/@{account['username']}/{path}/{post_id}",
        late=settle + record.get("late", 0.0),
        extra={
            "public": not record["draft"] and record["privacy"] == "PUBLIC_TO_EVERYONE",
            "privacy": record["privacy"],
            "silent": record["silent"],
            **{name: value for name, value in info.items() if name != "caption"},
        },
    )
    record |= {"state": "SEND_TO_USER_INBOX" if record["draft"] else "PUBLISH_COMPLETE", "post_id": post_id}
