"""The publish task behind a share_id: its state and its processing.

States: PROCESSING_DOWNLOAD -> PUBLISH_COMPLETE, SEND_TO_USER_INBOX or FAILED.
"""

from adapters.sandbox import tiktok_shared
from adapters.sandbox.context import SandboxContext
from adapters.sandbox.endpoint import Call
from adapters.sandbox.processing import Outcome, Task
from adapters.sandbox.store import Record
from adapters.sandbox.tiktok_business.api import PLATFORM

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


async def _examine(context: SandboxContext, record: Record) -> Outcome:
    account = context.accounts.find(PLATFORM, record["account"])
    if account is None:
        return Outcome(error="auth_removed")
    if record["sort"] == "photos":
        return await tiktok_shared.check_images(context, PLATFORM, record["urls"])
    check = await tiktok_shared.check_video(
        context,
        PLATFORM,
        record["urls"][0],
        max_bytes=_MAX_BYTES,
        max_seconds=tiktok_shared.get_max_seconds(account),
    )
    if not check.error and record["thumbnail_url"] is not None:
        thumbnail = await tiktok_shared.check_images(
            context, PLATFORM, [record["thumbnail_url"]], tiktok_shared.THUMBNAIL_FORMATS
        )
        return check if not thumbnail.error else thumbnail
    return await _check_offset(context, record, check)


async def _check_offset(context: SandboxContext, record: Record, check: Outcome) -> Outcome:
    offset = record["info"].get("thumbnail_offset")
    if check.error or offset is None:
        return check
    fetched = await context.fetcher.fetch_video(PLATFORM, record["urls"][0], _MAX_BYTES)
    video = None if fetched is None else fetched.video
    is_beyond = video is None or offset > video.duration * 1000
    return Outcome(error="picture_size_check_failed") if is_beyond else check


def _conclude(context: SandboxContext, record: Record, outcome: Outcome) -> None:
    info = record["info"]
    tiktok_shared.finish_task(
        context,
        record,
        context.accounts.find(PLATFORM, record["account"]),
        outcome,
        is_draft=record["draft"],
        is_photos=record["sort"] == "photos",
        caption=info.get("caption", ""),
        extra={
            "silent": record["silent"],
            "thumbnail_url": record["thumbnail_url"],
            **{name: value for name, value in info.items() if name != "caption"},
        },
    )


TASK = Task(
    kind=KIND,
    states=("PROCESSING_DOWNLOAD",),
    examine=_examine,
    fail=lambda reason: Outcome(error=reason or "internal"),
    conclude=_conclude,
)
