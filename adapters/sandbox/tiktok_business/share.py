"""The publish task behind a share_id: its request, its state, its processing.

States: PROCESSING_DOWNLOAD -> PUBLISH_COMPLETE, SEND_TO_USER_INBOX or FAILED.
"""

from typing import TYPE_CHECKING

from adapters.sandbox.endpoint import Call
from adapters.sandbox.processing import Processor
from adapters.sandbox.store import Record
from adapters.sandbox.tiktok_account import get_max_seconds
from adapters.sandbox.tiktok_business.dialect import PLATFORM
from adapters.sandbox.tiktok_media import THUMBNAIL_FORMATS, MediaCheck, check_images, check_video

if TYPE_CHECKING:
    from adapters.sandbox.context import SandboxContext

KIND = "tiktok_business.share"
_MAX_BYTES = 1 << 30


async def start(call: Call, account: Record, fields: Record) -> Record:
    """Create the share and start processing: the visible step."""
    context = call.context
    prefix = "p_pub_url~v1" if fields["sort"] == "photos" else "v_pub_url~v1"
    record: Record = {
        "key": f"{prefix}.{context.new_id()}",
        "account": account["remote_id"],
        "reason": "",
        "polls": 0,
    }
    record |= {
        "state": "PROCESSING_DOWNLOAD",
        "created": context.clock.now(),
        **fields,
        **call.take_processing_faults(),
    }
    context.store.put(KIND, record["key"], record)
    await context.processing.start(KIND, record)
    return record


def make_processor(context: "SandboxContext") -> Processor:
    """Return the processor of shares."""

    async def examine(record: Record) -> MediaCheck:
        if "fail_reason" in record:
            return MediaCheck(reason=record["fail_reason"] or "internal")
        return await _examine(context, record)

    return Processor(
        is_pending=lambda record: record["state"] == "PROCESSING_DOWNLOAD",
        examine=examine,
        conclude=lambda record, check: _conclude(context, record, check),
    )


async def _examine(context: "SandboxContext", record: Record) -> MediaCheck:
    account = context.accounts.find(PLATFORM, record["account"])
    if account is None:
        return MediaCheck(reason="auth_removed")
    if record["sort"] == "photos":
        return await check_images(context, PLATFORM, record["urls"])
    check = await check_video(
        context, PLATFORM, record["urls"][0], max_bytes=_MAX_BYTES, max_seconds=get_max_seconds(account)
    )
    if not check.reason and record["thumbnail_url"] is not None:
        thumbnail = await check_images(context, PLATFORM, [record["thumbnail_url"]], THUMBNAIL_FORMATS)
        return check if not thumbnail.reason else thumbnail
    return await _check_offset(context, record, check)


async def _check_offset(context: "SandboxContext", record: Record, check: MediaCheck) -> MediaCheck:
    offset = record["info"].get("thumbnail_offset")
    if check.reason or offset is None:
        return check
    video = (await context.fetcher.fetch_video(PLATFORM, record["urls"][0], _MAX_BYTES)).video
    is_beyond = video is None or offset > video.duration * 1000
    return MediaCheck(reason="picture_size_check_failed") if is_beyond else check


def _conclude(context: "SandboxContext", record: Record, check: MediaCheck) -> None:
    account = context.accounts.find(PLATFORM, record["account"])
    if check.reason or account is None:
        record |= {"state": "FAILED", "reason": check.reason or "auth_removed"}
    else:
        _publish(context, record, account, check)
    context.store.put(KIND, record["key"], record)


def _publish(context: "SandboxContext", record: Record, account: Record, check: MediaCheck) -> None:
    post_id = str(context.new_id())
    moderation_s = 0.0 if context.is_instant else context.settings.moderation_s
    path = "photo" if record["sort"] == "photos" else "video"
    info = record["info"]
    context.publish(
        account,
        kind="draft" if record["draft"] else record["sort"],
        remote_id=post_id,
        handle=record["key"],
        caption=info.get("caption", ""),
        media=list(check.media),
        url=f"https://www.tiktok.com/@{account['username']}/{path}/{post_id}",
        late=moderation_s + record.get("late", 0.0),
        extra={
            "public": not record["draft"] and record["privacy"] == "PUBLIC_TO_EVERYONE",
            "privacy": record["privacy"],
            "silent": record["silent"],
            "thumbnail_url": record["thumbnail_url"],
            **{name: value for name, value in info.items() if name != "caption"},
        },
    )
    record |= {"state": "SEND_TO_USER_INBOX" if record["draft"] else "PUBLISH_COMPLETE", "post_id": post_id}
