"""Fake of the TikTok API for Business v1.3 (owned accounts) and www.tiktok.com/oembed, as of 2026-11-24.

Its publish calls, each the visible step and the start of the task behind a share_id; its reads, and the routes.
"""

import sys

from aiohttp import web

from adapters.sandbox.accounts import AccountKind
from adapters.sandbox.context import SandboxContext
from adapters.sandbox.dialect import check_fields, fill
from adapters.sandbox.endpoint import Call, Route, mount_routes, read_routes
from adapters.sandbox.store import LivePost, Record
from adapters.sandbox.tiktok import api as tiktok
from adapters.sandbox.tiktok_business import api
from adapters.sandbox.tiktok_business.api import TABLE, refuse

_KIND = "tiktok_business.share"
_MAX_MENTIONS = 30
_MAX_PAGE = 20
_MAX_BYTES = 1 << 30
_TASK = tiktok.make_task(api.PLATFORM, _KIND, _MAX_BYTES)


async def publish_video(call: Call) -> web.Response:
    """POST /business/video/publish/."""
    account, body, info, is_draft = _read_post(call, "video/publish", "upload_to_draft")
    url = _check_url(call, "video_url", body.get("video_url"))
    thumbnail = body.get("custom_thumbnail_url")
    if thumbnail is not None:
        thumbnail = _check_url(call, "custom_thumbnail_url", thumbnail)
    # A video draft drops every field, the caption included.
    fields = {} if is_draft else _check_post_info(account, info, "video_info")
    if "privacy_level" in info:
        raise refuse("unknown_field", field="privacy_level")
    silent = _check_music(fields, with_volumes=True)
    privacy = None if is_draft else tiktok.list_privacy_levels(account)[0]
    facts = {"draft": is_draft, "is_photos": False, "privacy": privacy, "urls": [url]}
    facts |= {"thumbnail_url": thumbnail, "offset": fields.get("thumbnail_offset")}
    return await _start(call, account, "v_pub_url~v1", fields, silent=silent, **facts)


async def publish_photo(call: Call) -> web.Response:
    """POST /business/photo/publish/."""
    account, body, info, is_draft = _read_post(call, "photo/publish", "is_draft")
    check_fields(body, TABLE["photos"], refuse)
    urls = [_check_url(call, "photo_images", url) for url in body["photo_images"]]
    if body.get("photo_cover_index", 0) >= len(urls):
        raise refuse("cover_index")
    fields = _check_post_info(account, info, "photo_info")
    privacy = None if is_draft else _read_privacy(account, info)
    if is_draft:
        fields = {name: fields[name] for name in ("title", "caption") if name in fields}
    _check_music(fields, with_volumes=False)
    facts = {"draft": is_draft, "is_photos": True, "privacy": privacy, "urls": urls}
    return await _start(call, account, "p_pub_url~v1", fields, silent=False, **facts)


def _read_post(call: Call, schema: str, draft: str) -> tuple[Record, Record, Record, bool]:
    """Return the account, the body, its `post_info`, and whether its field `draft` makes the post a draft."""
    body = call.json()
    info = body.get("post_info")
    is_draft = isinstance(info, dict) and info.get(draft) is True
    scope = "video.upload" if is_draft else "video.publish"
    account = api.authenticate_owner(call, body.get("business_id"), scope)
    call.json(schema)
    if info is None:
        raise refuse("missing", field="post_info")
    return account, body, info, is_draft


def _check_url(call: Call, name: str, url: object) -> str:
    if not isinstance(url, str) or not url:
        raise refuse("missing", field=name)
    if not call.context.fetcher.is_reachable(url):
        raise refuse("url_unverified", name=name)
    return url


def _check_post_info(account: Record, info: Record, rows: str) -> Record:
    check_fields(info, TABLE[rows], refuse)
    if info.get("caption", "").count("@") > _MAX_MENTIONS:
        raise refuse("mentions", most=_MAX_MENTIONS)
    for name, setting in TABLE["settings"].items():
        if account["options"].get(setting) and info.get(name) is False:
            raise refuse("setting", name=name, setting=setting)
    return dict(info)


def _read_privacy(account: Record, info: Record) -> str:
    levels, level = tiktok.list_privacy_levels(account), info.get("privacy_level")
    if level not in levels:
        raise refuse("privacy_level", levels=", ".join(levels))
    return str(level)


def _check_music(info: Record, *, with_volumes: bool) -> bool:
    """Refuse a sound that is no clip; return whether the video is silent."""
    sound = info.get("music_sound_info")
    if sound is None:
        return False
    if not api.is_attachable(sound.get("music_sound_id")):
        raise refuse("no_clip")
    if not with_volumes:
        info["music_sound_info"] = {"music_sound_id": sound["music_sound_id"]}
        return False
    check_fields(sound, TABLE["volumes"], refuse)
    volumes = {row[0]: sound.get(row[0], 0) for row in TABLE["volumes"]}  # the API's default is 0: no sound
    info["music_sound_info"] = sound | volumes
    return not any(volumes.values())


async def _start(
    call: Call, account: Record, prefix: str, info: Record, *, silent: bool, **facts: object
) -> web.Response:
    """Count the post, create the share and start processing: the visible step."""
    call.check_limit(TABLE["limits"]["posts"], account["remote_id"])
    call.count(TABLE["limits"]["posts_a_minute"], account["remote_id"])
    call.count(TABLE["limits"]["posts"], account["remote_id"])
    extra = {"silent": silent, "thumbnail_url": facts.get("thumbnail_url")}
    extra |= {name: value for name, value in info.items() if name != "caption"}
    record = tiktok.create_task(
        call, _KIND, account, prefix, caption=info.get("caption", ""), extra=extra, **facts
    )
    await call.context.processing.start(_KIND, record)
    return api.ok({"share_id": record["key"]})


async def read_settings(call: Call) -> web.Response:
    """GET /business/video/settings/."""
    return api.ok(tiktok.get_post_states(api.authenticate_reader(call)))


async def read_profile(call: Call) -> web.Response:
    """GET /business/get/: the account's profile; `fields` selects."""
    known = fill(TABLE["answers"]["profile"], account=api.authenticate_reader(call, "user.info.basic"))
    fields = api.read_json_parameter(call, "fields")
    if fields is None:
        return api.ok(known)
    if not isinstance(fields, list) or not all(name in known for name in fields):
        raise refuse("profile_fields", known=", ".join(known))
    return api.ok({name: known[name] for name in fields})


async def read_status(call: Call, account: Record) -> web.Response:
    """GET /business/publish/status/."""
    record = call.get_own(_KIND, call.request.query.get("publish_id"), account, "publish_id")
    data: Record = {"status": record["state"]}
    if record["state"] == "FAILED":
        data["reason"] = record["reason"]
    if (public_id := tiktok.find_public_id(call, _KIND, record)) is not None:
        data["post_ids"] = [public_id]
    return api.ok(data)


async def list_videos(call: Call, account: Record) -> web.Response:
    """GET /business/video/list/: list public posts, newest first."""
    fields = api.read_json_parameter(call, "fields")
    if not isinstance(fields, list) or "item_id" not in fields:
        raise refuse("item_id")
    max_count = call.read_number("max_count", 10, "no_number")
    before = call.read_number("cursor", 0, "no_number") / 1000
    if not 1 <= max_count <= _MAX_PAGE:
        raise refuse("max_count", most=_MAX_PAGE)
    shown, more = tiktok.list_public(call, account, max_count, before or None)
    return api.ok({"videos": [_to_video(live, fields) for live in shown], **more})


def _to_video(live: LivePost, fields: list[str]) -> Record:
    media_type = "PHOTO" if live.entry["kind"] == "photos" else "VIDEO"
    created = str(int(live.created_at))
    known = fill(TABLE["answers"]["video"], entry=live.entry, created=created, media_type=media_type)
    return {name: known[name] for name in fields if name in known}


_USER = "/tiktok-business/open_api/v1.3/tt_user"
_ROUTES = (
    *read_routes(TABLE["routes"], api=api, posts=sys.modules[__name__]),
    api.TOKEN.route(f"{_USER}/oauth2/token/", step="oauth"),
    api.REFRESH.route(f"{_USER}/oauth2/refresh_token/", step="refresh"),
    api.REFRESH.route(f"{_USER}/oauth2/revoke/", handle=api.REFRESH.revoke),
    api.TOKEN.route(f"{_USER}/token_info/get/", handle=api.read_token_info),
)
# Both products use this endpoint, so faults of both platforms apply.
_OEMBED = Route("GET", "/tiktok-www/oembed", "resolve_music", api.read_oembed, also_faults_of=(api.PLATFORM,))


def register(app: web.Application, context: SandboxContext) -> None:
    """Serve TikTok for Business and oEmbed on `app`."""
    context.accounts.define(api.PLATFORM, AccountKind(**TABLE["account"]))
    context.processing.define(_TASK)
    mount_routes(app, context, api.PLATFORM, api.DIALECT, _ROUTES)
    mount_routes(app, context, "tiktok", api.OEMBED, (_OEMBED,))
