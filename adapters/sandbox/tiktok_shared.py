"""The common part of TikTok's two products: options of an account, and the checks of received media.

Limits: Content Posting API media transfer guide and the Business "publish" pages, read 2026-11-24.
"""

import math

from adapters.sandbox.context import SandboxContext
from adapters.sandbox.endpoint import Call
from adapters.sandbox.ledger import LivePost
from adapters.sandbox.probe import VideoFacts, find_flaw
from adapters.sandbox.processing import Outcome
from adapters.sandbox.store import Record
from adapters.sandbox.url_fetcher import FetchedMedia

_DEFAULT_MAX_SECONDS = 600

_CODECS = ("h264", "hevc", "vp8", "vp9")
_FRAME_RATE = (23.0, 60.0)
_SIDE = (360, 4096)
PHOTO_FORMATS = ("JPEG", "WEBP")
THUMBNAIL_FORMATS = (*PHOTO_FORMATS, "PNG")
_IMAGE_BYTES = 20 << 20
_IMAGE_SIDES = (1080, 1920)
"""Limits of the short and the long side, in pixels."""
_ROUNDING = 0.05


def list_privacy_levels(account: Record) -> list[str]:
    """Return the privacy levels that the account may choose from."""
    first = "FOLLOWER_OF_CREATOR" if account["private"] else "PUBLIC_TO_EVERYONE"
    return [first, "MUTUAL_FOLLOW_FRIENDS", "SELF_ONLY"]


def get_max_seconds(account: Record) -> int:
    """Return the length limit of the account's videos."""
    return int(account["options"].get("max_video_post_duration_sec", _DEFAULT_MAX_SECONDS))


def count_utf16_units(text: str) -> int:
    """Return the length in UTF-16 code units, as TikTok counts it."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def find_video_fail_reason(facts: VideoFacts | None, max_seconds: float) -> str:
    """Return the fail_reason of a video, empty if it is accepted. `max_seconds`: length limit."""
    limits = (
        ("duration", -math.inf, max_seconds + _ROUNDING, "duration_check_failed"),
        ("fps", *_FRAME_RATE, "frame_rate_check_failed"),
        ("width", *_SIDE, "picture_size_check_failed"),
        ("height", *_SIDE, "picture_size_check_failed"),
    )
    return str(find_flaw(facts, _CODECS, "file_format_check_failed", limits) or "")


async def check_video(
    context: SandboxContext, platform: str, url: str, *, max_bytes: int, max_seconds: float
) -> Outcome:
    """Fetch and check a video."""
    fetched = await context.fetcher.fetch_video(platform, url, max_bytes)
    if fetched is None:
        return Outcome(error="video_pull_failed")
    reason = (
        "file_format_check_failed"
        if fetched.bytes > max_bytes
        else find_video_fail_reason(fetched.video, max_seconds)
    )
    return Outcome(error=reason, media=(fetched.to_ledger_media(url),), bytes=fetched.bytes)


async def check_images(
    context: SandboxContext, platform: str, urls: list[str], formats: tuple[str, ...] = PHOTO_FORMATS
) -> Outcome:
    """Fetch and check the images of a post; the first bad one decides."""
    media, size = [], 0
    for url in urls:
        fetched = await context.fetcher.fetch_image(platform, url, _IMAGE_BYTES)
        if fetched is None:
            return Outcome(error="photo_pull_failed", bytes=size)
        size += fetched.bytes
        if reason := _find_image_fail_reason(fetched, formats):
            return Outcome(error=reason, bytes=size)
        media.append(fetched.to_ledger_media(url))
    return Outcome(media=tuple(media), bytes=size)


def _find_image_fail_reason(fetched: FetchedMedia, formats: tuple[str, ...]) -> str:
    if fetched.image is None or fetched.image.format not in formats:
        return "file_format_check_failed"
    short, long = sorted((fetched.image.width, fetched.image.height))
    if fetched.bytes > _IMAGE_BYTES or short > _IMAGE_SIDES[0] or long > _IMAGE_SIDES[1]:
        return "picture_size_check_failed"
    return ""


def get_post_states(account: Record) -> Record:
    """Return the settings of an account that a post has to respect, as both products name them."""
    options = account["options"]
    return {
        "privacy_level_options": list_privacy_levels(account),
        "comment_disabled": bool(options.get("comment_disabled")),
        "duet_disabled": bool(options.get("duet_disabled")),
        "stitch_disabled": bool(options.get("stitch_disabled")),
        "max_video_post_duration_sec": get_max_seconds(account),
    }


def find_public_id(call: Call, platform: str, kind: str, record: Record) -> str | None:
    """Return the public id of a published post; None while it is not public, and at the first request."""
    if record["state"] != "PUBLISH_COMPLETE" or record["privacy"] != "PUBLIC_TO_EVERYONE":
        return None
    context = call.context
    live = context.ledger.find(platform, record["post_id"])
    is_first = record["polls"] == 0 and not context.is_instant
    if is_first:
        record["polls"] = 1
        context.store.put(kind, record["key"], record)
    if is_first or live is None or context.clock.now() < live.visible_at:
        return None
    return str(record["post_id"])


def list_public(
    call: Call, account: Record, max_count: int, before: float | None
) -> tuple[list[LivePost], Record]:
    """Return a page of public posts, newest first, older than `before` (Unix seconds); and its cursor fields."""
    shown = [
        live
        for live in call.list_live(account["remote_id"])
        if live.entry["extra"]["public"] and (before is None or live.created_at < before)
    ]
    page = shown[:max_count]
    cursor = int(page[-1].created_at * 1000) if page else 0
    return page, {"cursor": cursor, "has_more": len(shown) > max_count}


def finish_task(
    context: SandboxContext,
    record: Record,
    account: Record | None,
    outcome: Outcome,
    *,
    is_draft: bool,
    is_photos: bool,
    caption: str,
    extra: Record,
) -> None:
    """Fail a task, or publish its post; the caller stores the record."""
    if outcome.error or account is None:
        record |= {"state": "FAILED", "reason": outcome.error or "auth_removed"}
        return
    post_id = str(context.new_id())
    moderation_s = 0.0 if context.is_instant else context.settings.moderation_s
    path = "photo" if is_photos else "video"
    kind = "photos" if is_photos else "video"
    privacy = record["privacy"]
    context.publish(
        account,
        kind="draft" if is_draft else kind,
        remote_id=post_id,
        handle=record["key"],
        caption=caption,
        media=list(outcome.media),
        url=f"https://www.tiktok.com/@{account['username']}/{path}/{post_id}",
        late=moderation_s + record.get("late", 0.0),
        extra={"public": not is_draft and privacy == "PUBLIC_TO_EVERYONE", "privacy": privacy, **extra},
    )
    record |= {"state": "SEND_TO_USER_INBOX" if is_draft else "PUBLISH_COMPLETE", "post_id": post_id}
