"""The feed of the Facebook stand-in: posts made in one step or in two, and the lists of what is live."""

import json

from aiohttp import web

from adapters.sandbox.endpoint import Call, Endpoint
from adapters.sandbox.facebook import photo, post
from adapters.sandbox.facebook.dialect import (
    DIALECT,
    PLATFORM,
    exhausted,
    is_true,
    number,
    ok,
    own_page,
    paged,
    writable_page,
)
from adapters.sandbox.graph_dialect import arguments, refuse
from adapters.sandbox.store import Record

_SCHEDULING = ("scheduled_publish_time",)
_FIELDS = "created_time,message,id"


async def create(call: Call) -> web.Response:
    """POST /{page}/feed: live at once, or with published=false to be shown later."""
    account = writable_page(call)
    given = arguments(call)
    if any(name in given for name in _SCHEDULING):
        raise refuse(
            100, None, "(#100) This sandbox keeps no time tables: scheduled_publish_time is not supported."
        )
    message, link = str(given.get("message") or ""), given.get("link")
    photos = [photo.attachable(call, account, key) for key in _attached(given)]
    if not message and not link and not photos:
        raise refuse(100, None, "(#100) One of message, link or attached_media is required.")
    _refuse_twice(call, account, message)
    record = post.new(call, account, message, photos, link)
    for shown in photos:
        call.context.store.put(photo.KIND, shown["key"], shown | {"post": record["key"]})
    if is_true(given, "published", otherwise=True):
        post.show(call.context, account, record)
    return ok({"id": record["key"]}, account)


def _attached(given: Record) -> list[str]:
    """The photo ids of `attached_media`, a JSON list, or of `attached_media[0]` and its neighbours, in their order."""
    whole = _json(given.get("attached_media") or [])
    if not isinstance(whole, list):
        raise refuse(100, None, "(#100) Param attached_media must be an array.")
    listed, place = list(whole), 0
    while f"attached_media[{place}]" in given:
        listed.append(given[f"attached_media[{place}]"])
        place += 1
    keys = []
    for item in listed:
        media = _json(item)
        if not isinstance(media, dict) or "media_fbid" not in media:
            raise refuse(100, None, "(#100) Each of attached_media needs a media_fbid.")
        keys.append(str(media["media_fbid"]))
    return keys


def _json(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise refuse(100, None, "(#100) Param attached_media is not JSON.") from None


def _refuse_twice(call: Call, account: Record, message: str) -> None:
    """The same words twice in a row are refused."""
    for live in reversed(call.context.ledger.list_for(PLATFORM, account["remote_id"])):
        if live.entry["kind"] in post.FEED_KINDS:
            if message and live.entry["caption"] == message:
                raise refuse(506, None, "Duplicate status message: this post is identical to the last one.")
            return


async def listing(call: Call) -> web.Response:
    """GET /{page}/published_posts: newest first."""
    return ok(_listed(call, account := own_page(call, "pages_read_engagement"), None, _FIELDS), account)


async def reels(call: Call) -> web.Response:
    """GET /{page}/video_reels: newest first."""
    return _videos(call, "reel")


async def videos(call: Call) -> web.Response:
    """GET /{page}/videos: newest first."""
    return _videos(call, "video")


def _videos(call: Call, kind: str) -> web.Response:
    account = own_page(call, "pages_read_engagement")
    return ok(_listed(call, account, kind, "updated_time,description,id"), account)


def _listed(call: Call, account: Record, kind: str | None, fields: str) -> Record:
    given = arguments(call)
    since, until = number(given, "since"), number(given, "until")
    now = call.context.clock.now()
    rows = []
    for live in reversed(call.context.ledger.list_for(PLATFORM, account["remote_id"])):
        record = call.context.store.get(post.KIND, live.entry["extra"]["post_id"])
        if record is None or record["is_deleted"] or live.visible_at > now:
            continue
        if kind not in (None, record["kind"]):
            continue
        if (since is None or live.created_at >= since) and (until is None or live.created_at <= until):
            rows.append(post.told(record) if kind is None else _video(record))
    return paged(call, rows, fields)


def _video(record: Record) -> Record:
    row = post.told(record)
    created = row["created_time"]
    row |= {"id": record["video"], "description": row["message"], "updated_time": created}
    return row | {"post_id": record["key"], "published": True}


def _step(call: Call) -> str:
    return "finalize" if is_true(arguments(call), "published", otherwise=True) else "prepare"


CREATE = Endpoint(platform=PLATFORM, step=_step, handle=create, dialect=DIALECT, quota_exhausted=exhausted)
LISTING = Endpoint(platform=PLATFORM, step="look", handle=listing, dialect=DIALECT)
REELS = Endpoint(platform=PLATFORM, step="look", handle=reels, dialect=DIALECT)
VIDEOS = Endpoint(platform=PLATFORM, step="look", handle=videos, dialect=DIALECT)
