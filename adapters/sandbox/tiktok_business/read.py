"""Read endpoints of TikTok Business: settings, profile, publish status, video list."""

from aiohttp import web

from adapters.sandbox.endpoint import Call
from adapters.sandbox.ledger import LivePost
from adapters.sandbox.store import Record
from adapters.sandbox.tiktok_business import api, publish
from adapters.sandbox.tiktok_shared import find_public_id, get_post_states, list_public

_MAX_PAGE = 20


async def read_settings(call: Call) -> web.Response:
    """GET /business/video/settings/."""
    account = api.authenticate_owner(call, call.request.query.get("business_id"))
    return api.ok(get_post_states(account))


async def read_profile(call: Call) -> web.Response:
    """GET /business/get/: the account's profile; `fields` selects."""
    account = api.authenticate_owner(call, call.request.query.get("business_id"), "user.info.basic")
    known: Record = {
        "username": account["username"],
        "display_name": account["display_name"],
        "profile_image": f"https://p16.tiktokcdn.example/{account['username']}.jpeg",
        "is_business_account": True,
    }
    fields = api.read_json_parameter(call, "fields")
    if fields is None:
        return api.ok(known)
    if not isinstance(fields, list) or not all(name in known for name in fields):
        raise api.refuse(f"fields: must be of {', '.join(known)}.")
    return api.ok({name: known[name] for name in fields})


async def read_status(call: Call) -> web.Response:
    """GET /business/publish/status/."""
    query = call.request.query
    account = api.authenticate_owner(call, query.get("business_id"), "video.publish", "video.upload")
    record = call.find_own(publish.KIND, query.get("publish_id", ""), account)
    if record is None:
        raise api.refuse("publish_id: invalid_publish_id.")
    data: Record = {"status": record["state"]}
    if record["state"] == "FAILED":
        data["reason"] = record["reason"]
    if (public_id := find_public_id(call, api.PLATFORM, publish.KIND, record)) is not None:
        data["post_ids"] = [public_id]
    return api.ok(data)


async def list_videos(call: Call) -> web.Response:
    """GET /business/video/list/: list public posts, newest first."""
    query = call.request.query
    account = api.authenticate_owner(call, query.get("business_id"), "video.list")
    fields = api.read_json_parameter(call, "fields")
    if not isinstance(fields, list) or "item_id" not in fields:
        raise api.refuse('fields: must contain "item_id".')
    max_count = _read_number(call, "max_count", 10)
    before = _read_number(call, "cursor", 0) / 1000
    if not 1 <= max_count <= _MAX_PAGE:
        raise api.refuse(f"max_count: must be from 1 to {_MAX_PAGE}.")
    shown, more = list_public(call, account, max_count, before or None)
    return api.ok({"videos": [_to_video(live, fields) for live in shown], **more})


def _read_number(call: Call, name: str, default: int) -> int:
    text = call.request.query.get(name)
    if text is None:
        return default
    if not text.isdecimal():
        raise api.refuse(f"{name}: Not a valid integer.")
    return int(text)


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
