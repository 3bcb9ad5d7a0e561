"""Read endpoints: creator info, user info, publish status, video list; and the cancellation of a post."""

from urllib.parse import parse_qs

from aiohttp import web

from adapters.sandbox.endpoint import Call
from adapters.sandbox.ledger import LivePost
from adapters.sandbox.store import Record
from adapters.sandbox.tiktok import api, task
from adapters.sandbox.tiktok.publish import read_whole
from adapters.sandbox.tiktok_shared import find_public_id, get_post_states, list_public

_CREATOR_PER_MINUTE = 20
_STATUS_PER_MINUTE = 30
_MAX_PAGE = 20
_MAX_TITLE = 150


async def read_creator_info(call: Call) -> web.Response:
    """POST /v2/post/publish/creator_info/query/."""
    account = call.authenticate("video.publish")
    api.check_rate(call, "creator_info", _CREATOR_PER_MINUTE)
    identity = {
        "creator_avatar_url": f"https://p16-sign.tiktokcdn.example/{account['remote_id']}.jpeg",
        "creator_username": account["username"],
        "creator_nickname": account["display_name"],
    }
    return api.ok(identity | get_post_states(account))


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
    return api.ok({"user": {name: known[name] for name in fields if name in known}})


def _find_task(call: Call, *scopes: str) -> Record:
    account = call.authenticate(*scopes)
    api.check_rate(
        call, call.endpoint.step if isinstance(call.endpoint.step, str) else "", _STATUS_PER_MINUTE
    )
    publish_id = call.json().get("publish_id")
    record = call.context.store.get(task.KIND, publish_id) if isinstance(publish_id, str) else None
    if record is None:
        raise api.refuse_code("invalid_publish_id")
    if record["account"] != account["remote_id"]:
        raise api.refuse_code("token_not_authorized_for_specified_publish_id")
    return record


async def read_status(call: Call) -> web.Response:
    """POST /v2/post/publish/status/fetch/."""
    record = _find_task(call, "video.upload", "video.publish")
    public_id = find_public_id(call, api.PLATFORM, task.KIND, record)
    data = {
        "status": record["state"],
        "fail_reason": record["reason"],
        "publicaly_available_post_id": [] if public_id is None else [int(public_id)],
        "uploaded_bytes": record["uploaded"],
    }
    if record["state"] != "FAILED":  # absent in the vendor's example of a failure
        data["downloaded_bytes"] = record["downloaded"]
    return api.ok(data)


async def cancel(call: Call) -> web.Response:
    """POST /v2/post/publish/cancel/: possible only during the download."""
    record = _find_task(call, "video.upload", "video.publish")
    if record["state"] != "PROCESSING_DOWNLOAD":
        raise api.refuse_code("publish_not_cancellable")
    record |= {"state": "FAILED", "reason": "publish_cancelled"}
    call.context.store.put(task.KIND, record["key"], record)
    return api.ok()


async def list_videos(call: Call) -> web.Response:
    """POST /v2/video/list/?fields=...: list public posts, newest first."""
    account = call.authenticate("video.list")
    fields = [
        name for part in parse_qs(call.request.query_string).get("fields", []) for name in part.split(",")
    ]
    if not fields:
        raise api.refuse("fields is required.")
    body = call.json()
    max_count = read_whole(body, "max_count", 1, _MAX_PAGE) if "max_count" in body else 10
    before = read_whole(body, "cursor") / 1000 if body.get("cursor") else None
    shown, more = list_public(call, account, max_count, before)
    return api.ok({"videos": [_to_video(live, fields) for live in shown], **more})


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
