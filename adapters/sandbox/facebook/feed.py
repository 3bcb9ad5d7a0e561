"""The feed of a Page: creating posts, published or not, and listing live posts, reels and videos."""

import json
from collections.abc import Awaitable, Callable

from aiohttp import web

from adapters.sandbox import graph
from adapters.sandbox.endpoint import Call
from adapters.sandbox.facebook import api, post, video_object
from adapters.sandbox.store import Record

_SCHEDULING = ("scheduled_publish_time",)
_FIELDS = "created_time,message,id"


async def create(call: Call) -> web.Response:
    """POST /{page}/feed: live at once, or with published=false an unpublished post."""
    account = api.authenticate_node_writer(call)
    given = graph.read_parameters(call)
    if any(name in given for name in _SCHEDULING):
        raise graph.refuse(
            100, None, "(#100) This sandbox does not schedule posts: scheduled_publish_time is not supported."
        )
    message, link = str(given.get("message") or ""), given.get("link")
    photos = [post.get_attachable(call, account, key) for key in _list_attached_photos(given)]
    if not message and not link and not photos:
        raise graph.refuse(100, None, "(#100) One of message, link or attached_media is required.")
    _check_not_duplicate(call, account, message)
    record = post.create(call, account, message, photos, link)
    for shown in photos:
        call.context.store.put(post.PHOTO_KIND, shown["key"], shown | {"post": record["key"]})
    if graph.is_true(given, "published", default=True):
        post.publish(call.context, account, record)
    return api.ok({"id": record["key"]}, account)


def _list_attached_photos(given: Record) -> list[str]:
    """Return the photo ids of `attached_media` (a JSON list) and of `attached_media[0]`, `[1]` and so on, in order."""
    whole = _parse_json(given.get("attached_media") or [])
    if not isinstance(whole, list):
        raise graph.refuse(100, None, "(#100) Param attached_media must be an array.")
    listed, place = list(whole), 0
    while f"attached_media[{place}]" in given:
        listed.append(given[f"attached_media[{place}]"])
        place += 1
    keys = []
    for item in listed:
        media = _parse_json(item)
        if not isinstance(media, dict) or "media_fbid" not in media:
            raise graph.refuse(100, None, "(#100) Each of attached_media needs a media_fbid.")
        keys.append(str(media["media_fbid"]))
    return keys


def _parse_json(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise graph.refuse(100, None, "(#100) Param attached_media is not JSON.") from None


def _check_not_duplicate(call: Call, account: Record, message: str) -> None:
    """Refuse a message equal to that of the last live feed post."""
    for live in reversed(call.context.ledger.list_for(api.PLATFORM, account["remote_id"])):
        if live.entry["kind"] in post.FEED_KINDS:
            if message and live.entry["caption"] == message:
                raise graph.refuse(
                    506, None, "Duplicate status message: this post is identical to the last one."
                )
            return


async def list_posts(call: Call) -> web.Response:
    """GET /{page}/published_posts: newest first."""
    account = api.authenticate_node_page(call, "pages_read_engagement")
    return api.ok(_paginate_live(call, account, None, _FIELDS), account)


def make_list(kind: str) -> Callable[[Call], Awaitable[web.Response]]:
    """Return the handler of GET /{page}/video_reels or /{page}/videos: newest first."""

    async def list_kind(call: Call) -> web.Response:
        account = api.authenticate_node_page(call, "pages_read_engagement")
        return api.ok(_paginate_live(call, account, kind, "updated_time,description,id"), account)

    return list_kind


def _paginate_live(call: Call, account: Record, kind: str | None, fields: str) -> Record:
    given = graph.read_parameters(call)
    since, until = api.parse_int(given, "since"), api.parse_int(given, "until")
    rows = []
    for live in call.list_live(account["remote_id"]):
        record = call.context.store.get(post.KIND, live.entry["extra"]["post_id"])
        if record is None or record["is_deleted"] or kind not in (None, record["kind"]):
            continue
        if (since is None or live.created_at >= since) and (until is None or live.created_at <= until):
            rows.append(post.to_dict(record) if kind is None else _video_to_dict(call, record))
    return api.paginate(call, rows, fields)


def _video_to_dict(call: Call, record: Record) -> Record:
    row = post.to_dict(record)
    created = row["created_time"]
    video = call.context.store.get(video_object.KIND, record["video"])
    row["length"] = ((video or {}).get("facts") or {}).get("duration")
    row |= {"id": record["video"], "description": row["message"], "updated_time": created}
    return row | {"post_id": record["key"], "published": True}
