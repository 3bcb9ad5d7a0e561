"""Read endpoints of TikTok Business: settings, profile, publish status, video list."""

from aiohttp import web

from adapters.sandbox.endpoint import Call, Endpoint
from adapters.sandbox.ledger import LivePost
from adapters.sandbox.store import Record
from adapters.sandbox.tiktok_account import get_max_seconds, list_privacy_levels
from adapters.sandbox.tiktok_business import share
from adapters.sandbox.tiktok_business.dialect import (
    BAD_PARAMETER,
    DIALECT,
    PLATFORM,
    authenticate_owner,
    error_response,
    ok,
    read_json_parameter,
    refuse,
)

_MAX_PAGE = 20


async def read_settings(call: Call) -> web.Response:
    """GET /business/video/settings/."""
    account = authenticate_owner(call, call.request.query.get("business_id"))
    options = account["options"]
    return ok(
        {
            "privacy_level_options": list_privacy_levels(account),
            "comment_disabled": bool(options.get("comment_disabled")),
            "duet_disabled": bool(options.get("duet_disabled")),
            "stitch_disabled": bool(options.get("stitch_disabled")),
            "max_video_post_duration_sec": get_max_seconds(account),
        }
    )


async def read_profile(call: Call) -> web.Response:
    """GET /business/get/: the account's profile; `fields` selects."""
    account = authenticate_owner(call, call.request.query.get("business_id"), "user.info.basic")
    known: Record = {
        "username": account["username"],
        "display_name": account["display_name"],
        "profile_image": f"https://p16.tiktokcdn.example/{account['username']}.jpeg",
        "is_business_account": True,
    }
    fields = read_json_parameter(call, "fields")
    if fields is None:
        return ok(known)
    if not isinstance(fields, list) or not all(name in known for name in fields):
        raise refuse(f"fields: must be of {', '.join(known)}.")
    return ok({name: known[name] for name in fields})


async def read_status(call: Call) -> web.Response:
    """GET /business/publish/status/."""
    query = call.request.query
    account = authenticate_owner(call, query.get("business_id"), "video.publish", "video.upload")
    record = call.context.store.get(share.KIND, query.get("publish_id", ""))
    if record is None or record["account"] != account["remote_id"]:
        raise refuse("publish_id: invalid_publish_id.")
    data: Record = {"status": record["state"]}
    if record["state"] == "FAILED":
        data["reason"] = record["reason"]
    if (ids := _list_post_ids(call, record)) is not None:
        data["post_ids"] = ids
    return ok(data)


def _list_post_ids(call: Call, record: Record) -> list[str] | None:
    if record["state"] != "PUBLISH_COMPLETE" or record["privacy"] != "PUBLIC_TO_EVERYONE":
        return None
    context = call.context
    live = context.ledger.find(PLATFORM, record["post_id"])
    is_first = record["polls"] == 0 and not context.is_instant
    if is_first:
        record["polls"] = 1
        context.store.put(share.KIND, record["key"], record)
    if is_first or live is None or context.clock.now() < live.visible_at:
        return None
    return [record["post_id"]]


async def list_videos(call: Call) -> web.Response:
    """GET /business/video/list/: list public posts, newest first."""
    query = call.request.query
    account = authenticate_owner(call, query.get("business_id"), "video.list")
    fields = read_json_parameter(call, "fields")
    if not isinstance(fields, list) or "item_id" not in fields:
        raise refuse('fields: must contain "item_id".')
    max_count = _read_number(call, "max_count", 10)
    before = _read_number(call, "cursor", 0) / 1000
    if not 1 <= max_count <= _MAX_PAGE:
        raise refuse(f"max_count: must be from 1 to {_MAX_PAGE}.")
    shown: list[LivePost] = []
    has_more = False
    for live in reversed(call.context.ledger.list_for(PLATFORM, account["remote_id"])):
        if not _is_listed(call, live) or (before and live.created_at >= before):
            continue
        if len(shown) == max_count:
            has_more = True
            break
        shown.append(live)
    cursor = int(shown[-1].created_at * 1000) if shown else 0
    return ok({"videos": [_to_video(live, fields) for live in shown], "cursor": cursor, "has_more": has_more})


def _read_number(call: Call, name: str, default: int) -> int:
    text = call.request.query.get(name)
    if text is None:
        return default
    if not text.isdecimal():
        raise refuse(f"{name}: Not a valid integer.")
    return int(text)


def _is_listed(call: Call, live: LivePost) -> bool:
    return bool(live.entry["extra"]["public"]) and live.visible_at <= call.context.clock.now()


def _to_video(live: LivePost, fields: list[str]) -> Record:
    entry = live.entry
    known = {
        "item_id": entry["remote_id"],
        "create_time": str(int(live.created_at)),
        "caption": entry["caption"],
        "share_url": entry["url"],
        "media_type": "PHOTO" if entry["kind"] == "photos" else "VIDEO",
    }
    return {name: known[name] for name in fields if name in known}


PROFILE = Endpoint(platform=PLATFORM, step="read", handle=read_profile, dialect=DIALECT)
SETTINGS = Endpoint(
    platform=PLATFORM,
    step="creator_info",
    handle=read_settings,
    dialect=DIALECT,
    quota_exhausted=lambda _: error_response(BAD_PARAMETER, "spam_risk_too_many_posts"),
)
STATUS = Endpoint(platform=PLATFORM, step="look", handle=read_status, dialect=DIALECT)
VIDEO_LIST = Endpoint(platform=PLATFORM, step="read", handle=list_videos, dialect=DIALECT)
