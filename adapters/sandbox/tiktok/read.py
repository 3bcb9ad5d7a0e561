"""Read endpoints: creator info, user info, publish status, video list; and the cancellation of a post."""

from urllib.parse import parse_qs

from aiohttp import web

from adapters.sandbox.endpoint import Call, Endpoint
from adapters.sandbox.ledger import LivePost
from adapters.sandbox.responses import Refused
from adapters.sandbox.store import Record
from adapters.sandbox.tiktok import task
from adapters.sandbox.tiktok.dialect import DIALECT, PLATFORM, error_response, ok, refuse
from adapters.sandbox.tiktok.post_info import check_rate, read_whole
from adapters.sandbox.tiktok_account import get_max_seconds, list_privacy_levels

_CREATOR_PER_MINUTE = 20
_STATUS_PER_MINUTE = 30
_MAX_PAGE = 20
_MAX_TITLE = 150


async def read_creator_info(call: Call) -> web.Response:
    """POST /v2/post/publish/creator_info/query/."""
    account = call.authenticate("video.publish")
    check_rate(call, "creator_info", _CREATOR_PER_MINUTE)
    options = account["options"]
    return ok(
        {
            "creator_avatar_url": f"https://p16-sign.tiktokcdn.example/{account['remote_id']}.jpeg",
            "creator_username": account["username"],
            "creator_nickname": account["display_name"],
            "privacy_level_options": list_privacy_levels(account),
            "comment_disabled": bool(options.get("comment_disabled")),
            "duet_disabled": bool(options.get("duet_disabled")),
            "stitch_disabled": bool(options.get("stitch_disabled")),
            "max_video_post_duration_sec": get_max_seconds(account),
        }
    )


async def read_user_info(call: Call) -> web.Response:
    """GET /v2/user/info/?fields=open_id,username,display_name,avatar_url."""
    account = call.authenticate("user.info.basic")
    known = {
        "open_id": account["remote_id"],
        "union_id": account["remote_id"],
        "username": account["username"],
        "display_name": account["display_name"],
        "avatar_url": f"https://p16-sign.tiktokcdn.example/{account['remote_id']}.jpeg",
    }
    fields = call.request.query.get("fields", "").split(",")
    return ok({"user": {name: known[name] for name in fields if name in known}})


def _find_task(call: Call, *scopes: str) -> Record:
    account = call.authenticate(*scopes)
    check_rate(call, call.endpoint.step if isinstance(call.endpoint.step, str) else "", _STATUS_PER_MINUTE)
    publish_id = call.json().get("publish_id")
    record = call.context.store.get(task.KIND, publish_id) if isinstance(publish_id, str) else None
    if record is None:
        raise Refused(error_response("invalid_publish_id"))
    if record["account"] != account["remote_id"]:
        raise Refused(error_response("token_not_authorized_for_specified_publish_id"))
    return record


async def read_status(call: Call) -> web.Response:
    """POST /v2/post/publish/status/fetch/."""
    record = _find_task(call, "video.upload", "video.publish")
    data = {
        "status": record["state"],
        "fail_reason": record["reason"],
        "publicaly_available_post_id": _list_public_ids(call, record),
        "uploaded_bytes": record["uploaded"],
    }
    if record["state"] != "FAILED":  # absent in the vendor's example of a failure
        data["downloaded_bytes"] = record["downloaded"]
    return ok(data)


def _list_public_ids(call: Call, record: Record) -> list[int]:
    if record["state"] != "PUBLISH_COMPLETE" or record["privacy"] != "PUBLIC_TO_EVERYONE":
        return []
    context = call.context
    live = context.ledger.find(PLATFORM, record["post_id"])
    is_first = record["polls"] == 0 and not context.is_instant
    if is_first:
        record["polls"] = 1
        context.store.put(task.KIND, record["key"], record)
    if is_first or live is None or context.clock.now() < live.visible_at:
        return []
    return [int(record["post_id"])]


async def cancel(call: Call) -> web.Response:
    """POST /v2/post/publish/cancel/: possible only during the download."""
    record = _find_task(call, "video.upload", "video.publish")
    if record["state"] != "PROCESSING_DOWNLOAD":
        raise Refused(error_response("publish_not_cancellable"))
    record |= {"state": "FAILED", "reason": "publish_cancelled"}
    call.context.store.put(task.KIND, record["key"], record)
    return ok()


async def list_videos(call: Call) -> web.Response:
    """POST /v2/video/list/?fields=...: list public posts, newest first."""
    account = call.authenticate("video.list")
    fields = [
        name for part in parse_qs(call.request.query_string).get("fields", []) for name in part.split(",")
    ]
    if not fields:
        raise refuse("fields is required.")
    body = call.json()
    max_count = read_whole(body, "max_count", 1, _MAX_PAGE) if "max_count" in body else 10
    before = read_whole(body, "cursor") / 1000 if body.get("cursor") else None
    shown: list[LivePost] = []
    has_more = False
    for live in reversed(call.context.ledger.list_for(PLATFORM, account["remote_id"])):
        if not _is_listed(call, live) or (before is not None and live.created_at >= before):
            continue
        if len(shown) == max_count:
            has_more = True
            break
        shown.append(live)
    cursor = int(shown[-1].created_at * 1000) if shown else 0
    videos = [_to_video(live, fields) for live in shown]
    return ok({"videos": videos, "cursor": cursor, "has_more": has_more})


def _is_listed(call: Call, live: LivePost) -> bool:
    return bool(live.entry["extra"]["public"]) and live.visible_at <= call.context.clock.now()


def _to_video(live: LivePost, fields: list[str]) -> Record:
    entry = live.entry
    known = {
        "id": entry["remote_id"],
        "title": entry["extra"]["title"][:_MAX_TITLE],
        "create_time": int(live.created_at),
        "share_url": entry["url"],
        "video_description": entry["caption"][:_MAX_TITLE],
        "duration": round(entry["media"][0].get("duration", 0)),
    }
    return {name: known[name] for name in fields if name in known}


CREATOR_INFO = Endpoint(
    platform=PLATFORM,
    step="creator_info",
    handle=read_creator_info,
    dialect=DIALECT,
    # Spam risk comes with HTTP 200 here, "intentionally" (creator info reference, 2026-11-24).
    quota_exhausted=lambda _: error_response("spam_risk_too_many_posts", status=200),
)
USER_INFO = Endpoint(platform=PLATFORM, step="read", handle=read_user_info, dialect=DIALECT)
STATUS = Endpoint(platform=PLATFORM, step="look", handle=read_status, dialect=DIALECT)
CANCEL = Endpoint(platform=PLATFORM, step="cancel", handle=cancel, dialect=DIALECT)
VIDEO_LIST = Endpoint(platform=PLATFORM, step="read", handle=list_videos, dialect=DIALECT)
