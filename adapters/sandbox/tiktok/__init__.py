"""Fake of TikTok's Content Posting API v2, as documented on 2026-11-24: inits of posts, reads, and the routes.

Videos are uploaded or pulled from a URL, photos pulled from URLs; posts are direct or drafts. An init that needs no
upload is the visible call.
"""

import secrets
import sys
from urllib.parse import parse_qs

from aiohttp import web

from adapters.sandbox.accounts import AccountKind
from adapters.sandbox.context import SandboxContext
from adapters.sandbox.dialect import check_fields, fill
from adapters.sandbox.endpoint import Call, mount_routes, read_routes
from adapters.sandbox.store import LivePost, Record
from adapters.sandbox.tiktok import api
from adapters.sandbox.tiktok.api import TABLE, refuse

_MAX_TITLE = 150
# The guide does not say whether "MB" is 10^6 or 2^20; a size that either reading forbids is refused.
_MIN_CHUNK = 5 << 20
_MAX_CHUNK = 64_000_000
_MAX_LAST_CHUNK = 128_000_000
_SCOPES = {"DIRECT_POST": "video.publish", "MEDIA_UPLOAD": "video.upload"}


def _check_info(info: Record, rows: str, kept: tuple[str, ...]) -> Record:
    """Return the fields in `kept` that are present; raises Refused for one that breaks a row."""
    check_fields(info, TABLE[rows], refuse)
    return {name: info[name] for name in kept if name in info}


def _read_privacy(account: Record, info: Record) -> str:
    """Return the privacy level; raise Refused if the account may not use it."""
    level = info.get("privacy_level")
    if not isinstance(level, str) or not level:
        raise refuse("no_privacy_level")
    if level not in api.list_privacy_levels(account):
        raise refuse("privacy_level_mismatch")
    if account["options"].get("unaudited") and (level != "SELF_ONLY" or not account["private"]):
        raise refuse("unaudited")
    if info.get("brand_content_toggle") is True and level == "SELF_ONLY":
        raise refuse("branded_self_only")
    return level


def _check_url(call: Call, url: object) -> str:
    """Return a URL that TikTok may fetch; only the sandbox's media host counts as verified."""
    if not isinstance(url, str) or not url:
        raise refuse("no_url")
    if not call.context.fetcher.is_reachable(url):
        raise refuse("url_unverified")
    return url


async def init_direct(call: Call, account: Record) -> web.Response:
    """POST /v2/post/publish/video/init/."""
    body = call.json("video/init")
    info = body.get("post_info") or {}
    sent = {"title": "", **_check_info(info, "video_info", TABLE["video_kept"])}
    privacy = _read_privacy(account, info)
    facts = {"draft": False, "caption": sent["title"], "privacy": privacy, "extra": sent}
    return await _init_video(call, account, body, facts)


async def init_inbox(call: Call, account: Record) -> web.Response:
    """POST /v2/post/publish/inbox/video/init/."""
    facts: Record = {"draft": True, "caption": "", "privacy": None, "extra": {"title": ""}}
    return await _init_video(call, account, call.json("video/init"), facts)


async def _init_video(call: Call, account: Record, body: Record, facts: Record) -> web.Response:
    source = body.get("source_info") or {}
    call.check_limit(api.get_daily_limit(facts), account["remote_id"])
    prefix = "v_inbox" if facts["draft"] else "v_pub"
    facts["is_photos"] = False
    match source.get("source"):
        case "FILE_UPLOAD":
            facts |= {"state": "PROCESSING_UPLOAD", "upload_token": secrets.token_urlsafe(24)}
            sizes = _read_sizes(source)
            record = api.create_task(call, api.KIND, account, f"{prefix}_file~v2-1", **facts, **sizes)
            return api.ok({"publish_id": record["key"], "upload_url": api.build_upload_url(call, record)})
        case "PULL_FROM_URL":
            urls = [_check_url(call, source.get("video_url"))]
            record = api.create_task(call, api.KIND, account, f"{prefix}_url~v2-1", **facts, urls=urls)
            await api.start_task(call, record)
            return api.ok({"publish_id": record["key"]})
        case _:
            raise refuse("no_source")


def _read_sizes(source: Record) -> Record:
    check_fields(source, TABLE["upload"], refuse)
    size, chunk, count = (source[name] for name, *_ in TABLE["upload"])
    sizes = {"size": size, "chunk": chunk, "chunks": count}
    if count == 1 and chunk == size and size <= _MAX_CHUNK:
        return sizes
    if size < _MIN_CHUNK:
        raise refuse("small_video")
    if not _MIN_CHUNK <= chunk <= _MAX_CHUNK:
        raise refuse("chunk_size")
    if count != size // chunk:
        raise refuse("chunk_count")
    if size > _MAX_CHUNK and count == 1:
        raise refuse("one_chunk")
    if size - (count - 1) * chunk > _MAX_LAST_CHUNK:
        raise refuse("last_chunk")
    return sizes


def get_init_step(call: Call) -> str:
    """Return `finalize` for an init from a URL, which is the visible call."""
    source = call.json().get("source_info")
    is_pull = isinstance(source, dict) and source.get("source") == "PULL_FROM_URL"
    return "finalize" if is_pull else "prepare"


async def init_photos(call: Call) -> web.Response:
    """POST /v2/post/publish/content/init/."""
    body = call.json()
    mode = body.get("post_mode")
    account = api.authenticate(call, "content", *([_SCOPES[mode]] if mode in _SCOPES else _SCOPES.values()))
    call.json("content/init")
    check_fields(body, TABLE["photo_post"], refuse)
    facts = _read_photo_post(call, account, body, is_direct=mode == "DIRECT_POST")
    call.check_limit(api.get_daily_limit(facts), account["remote_id"])
    record = api.create_task(call, api.KIND, account, "p_pub_url~v2", **facts)
    await api.start_task(call, record)
    return api.ok({"publish_id": record["key"]})


def _read_photo_post(call: Call, account: Record, body: Record, *, is_direct: bool) -> Record:
    info, source = body.get("post_info") or {}, body.get("source_info") or {}
    texts = {"title": "", "description": "", **_check_info(info, "photo_texts", ("title", "description"))}
    privacy = _read_privacy(account, info) if is_direct else None
    if not is_direct and account["options"].get("old_app"):
        raise refuse("old_app")
    flags = _check_info(info, "photo_flags", TABLE["photo_kept"]) if is_direct else {}
    check_fields(source, TABLE["photo_source"], refuse)
    urls = [_check_url(call, url) for url in source["photo_images"]]
    if is_direct or "photo_cover_index" in source:
        check_fields(source, (("photo_cover_index", "whole", (0, len(urls) - 1), "whole"),), refuse)
        flags["photo_cover_index"] = source["photo_cover_index"]
    caption = texts["description"] or texts["title"]
    facts = {"draft": not is_direct, "is_photos": True, "privacy": privacy, "urls": urls}
    return facts | {"caption": caption, "extra": {**flags, **texts}}


def refuse_photo_quota(call: Call) -> web.Response:
    """Return the error of an exhausted daily limit of posts, or of drafts."""
    is_draft = b"MEDIA_UPLOAD" in call.body
    return api.DIALECT.respond("too_many_drafts" if is_draft else "spam_risk_too_many_posts")


async def read_creator_info(_: Call, account: Record) -> web.Response:
    """POST /v2/post/publish/creator_info/query/."""
    identity = fill(TABLE["answers"]["creator"], account=account)
    return api.ok(identity | api.get_post_states(account))


async def read_user_info(call: Call) -> web.Response:
    """GET /v2/user/info/?fields=open_id,username,display_name,avatar_url."""
    known = fill(TABLE["answers"]["user"], account=call.authenticate("user.info.basic"))
    fields = call.request.query.get("fields", "").split(",")
    return api.ok({"user": {name: known[name] for name in fields if name in known}})


def _find_task(call: Call, step: str) -> Record:
    account = api.authenticate(call, step, "video.upload", "video.publish")
    publish_id = call.json("status/fetch").get("publish_id")
    record = call.context.store.get(api.KIND, publish_id or "")
    if record is None:
        raise refuse("invalid_publish_id")
    if record["account"] != account["remote_id"]:
        raise refuse("foreign_publish_id")
    return record


async def read_status(call: Call) -> web.Response:
    """POST /v2/post/publish/status/fetch/."""
    record = _find_task(call, "look")
    public_id = api.find_public_id(call, api.KIND, record)
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
    record = _find_task(call, "cancel")
    if record["state"] != "PROCESSING_DOWNLOAD":
        raise refuse("not_cancellable")
    call.save(api.KIND, record, state="FAILED", reason="publish_cancelled")
    return api.ok()


async def list_videos(call: Call, account: Record) -> web.Response:
    """POST /v2/video/list/?fields=...: list public posts, newest first."""
    asked = parse_qs(call.request.query_string).get("fields", [])
    fields = [name for part in asked for name in part.split(",")]
    if not fields:
        raise refuse("no_fields")
    body = call.json("video/list")
    check_fields(body, TABLE["list"], refuse)
    before = body["cursor"] / 1000 if body.get("cursor") else None
    shown, more = api.list_public(call, account, body.get("max_count", 10), before)
    return api.ok({"videos": [_to_video(live, fields) for live in shown], **more})


def _to_video(live: LivePost, fields: list[str]) -> Record:
    known = fill(
        TABLE["answers"]["video"],
        entry=live.entry,
        title=live.entry["extra"]["title"][:_MAX_TITLE],
        created=int(live.created_at),
        caption=live.entry["caption"][:_MAX_TITLE],
        duration=round(live.entry["media"][0].get("duration", 0)),
    )
    return {name: known[name] for name in fields if name in known}


_ROUTES = (
    *read_routes(TABLE["routes"], api=api, call=Call, posts=sys.modules[__name__]),
    api.TOKENS.route("/tiktok/v2/oauth/token/"),
    api.TOKENS.route("/tiktok/v2/oauth/revoke/", handle=api.TOKENS.revoke),
    api.CONSENT.route("/tiktok-www/v2/auth/authorize/"),
)


def register(app: web.Application, context: SandboxContext) -> None:
    """Serve TikTok on `app`."""
    context.accounts.define(api.PLATFORM, AccountKind(**TABLE["account"]))
    context.processing.define(api.TASK)
    mount_routes(app, context, api.PLATFORM, api.DIALECT, _ROUTES)
