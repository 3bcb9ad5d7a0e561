"""Posts and photos of a Page and its feed, with the responses and the authentication that its edges share.

A post is created unpublished, published at most once, read, listed and deleted. A published photo is a post; an
unpublished one can be attached to a post within a day.
"""

import base64
import json
from collections.abc import Callable
from urllib.parse import urlsplit

from aiohttp import web

from adapters.sandbox import graph
from adapters.sandbox.accounts import random_digits
from adapters.sandbox.context import DAY, SandboxContext
from adapters.sandbox.dialect import Dialect, encode, fill, json_response
from adapters.sandbox.endpoint import Call
from adapters.sandbox.graph import TABLE
from adapters.sandbox.processing import examine_url
from adapters.sandbox.store import Record

PLATFORM = "facebook"
USER = "user"
"""The role of a user access token. It lists Pages, but most edges of a Page require a Page access token."""
KIND, PHOTO_KIND = "facebook.post", "facebook.photo"
TASKS = ("ADVERTISE", "ANALYZE", "CREATE_CONTENT", "MESSAGING", "MODERATE", "MANAGE")
DIALECT = Dialect(
    graph.error_response, TABLE["errors"] | TABLE["page_errors"], graph.read_token, TABLE["requests"]
)
refuse = DIALECT.refuse

_PUBLISH_SCOPE = "pages_manage_posts"
READ_SCOPE = "pages_read_engagement"
_MAX_BYTES = 10_000_000
_FEED_KINDS = ("text", "image", "photos")
STORY = "story"
_FIELDS = "created_time,message,id"


def ok(body: object, account: Record | None = None) -> web.Response:
    """Return a success response; `account` adds the header with its usage in percent (option `usage`)."""
    headers = dict(graph.USAGE)
    if account is not None:
        used = int(account["options"].get("usage", 1))
        usage = {account["remote_id"]: [fill(TABLE["usage"], used=used)]}
        headers["X-Business-Use-Case-Usage"] = encode(usage)
    return json_response(body, 200, headers)


def authenticate_page(call: Call, *scopes: str) -> Record:
    """Return the Page of the token, whichever node the path names.

    Raises:
        Refused: the token is invalid, lacks a scope, or is a user access token.
    """
    token = call.find_token()
    if token is not None and token["role"] == USER:
        raise refuse("user_token")
    return call.authenticate(*scopes)


def authenticate_writer(call: Call) -> Record:
    """Return the Page of the token. Raises Refused unless the token may create content."""
    account = authenticate_page(call, _PUBLISH_SCOPE)
    if "CREATE_CONTENT" not in account["options"].get("tasks", TASKS):
        raise refuse("no_task")
    return account


def authenticate_node_writer(call: Call) -> Record:
    """Return the Page that the path names. Raises Refused unless its token may create content."""
    graph.check_node(call, authenticate_page(call, _PUBLISH_SCOPE))
    return authenticate_writer(call)


def get_step(call: Call, name: str, default: bool) -> str:
    """Return the step of a request that is the visible call if the parameter `name` is true."""
    is_visible = graph.is_true(graph.read_parameters(call), name, default=default)
    return "finalize" if is_visible else "prepare"


async def create(call: Call, account: Record) -> web.Response:
    """POST /{page}/feed: live at once, or with published=false an unpublished post."""
    given = graph.read_typed(call, "Page.create_feed")
    if "scheduled_publish_time" in given:
        raise refuse("scheduling")
    message, link = str(given.get("message") or ""), given.get("link")
    photos = [get_attachable(call, account, key) for key in _list_attached_photos(given)]
    if not message and not link and not photos:
        raise refuse("empty_post")
    if link:
        _check_link(link)
    _check_not_duplicate(call, account, message)
    record = _create(call, account, message, photos, link)
    for shown in photos:
        call.save(PHOTO_KIND, shown, post=record["key"])
    if graph.is_true(given, "published", default=True):
        publish(call.context, account, record)
    return ok({"id": record["key"]}, account)


def _check_link(link: str) -> None:
    """Refuse what is no web address, Facebook itself, and a name that no resolver knows: it cannot be scraped."""
    parts = urlsplit(link)
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not host:
        raise refuse("bad_link")
    if host == "facebook.com" or host.endswith(".facebook.com"):
        raise refuse("own_link")
    if host.endswith(".invalid"):
        raise refuse("unscrapeable_link")


def _create(
    call: Call, account: Record, message: str, photos: list[Record], link: str | None = None
) -> Record:
    kind = "text" if not photos else "image" if len(photos) == 1 else "photos"
    record = make_blank(account, kind, message, created=call.context.clock.now())
    record |= {name: [photo[field] for photo in photos] for name, field in TABLE["photo_lists"].items()}
    record |= {"link": link, "hidden_until": record["created"] + call.take_visibility_delay()}
    return call.save(KIND, record)


def make_blank(account: Record, kind: str, message: str, **more: object) -> Record:
    """Return a post record without media; it is not stored."""
    key = f"{account['remote_id']}_{random_digits(15, '12')}"
    record: Record = {"key": key, "account": account["remote_id"], "kind": kind, "message": message}
    record |= {"media": [], "photos": [], "link": None, "video": None}
    return record | {"is_published": False, "is_deleted": False, "hidden_until": 0.0, **more}


def publish(context: SandboxContext, account: Record, record: Record, late: float = 0.0) -> None:
    """Make a post live and store it; photos, reels and videos become visible through this too.

    `late`: seconds until reads and lists show it.
    """
    now = context.clock.now()
    late = max(late, record["hidden_until"] - now, 0.0)
    extra = {name: record.get(name) for name in TABLE["published"]}
    context.publish(
        account,
        kind=record["kind"],
        remote_id=record["key"] if record["kind"] == STORY else record["video"] or record["key"],
        caption=record["message"],
        media=record["media"],
        url=build_permalink(record),
        late=late,
        post_id=record["key"],
        **extra,
    )
    record |= {"is_published": True, "created": now, "hidden_until": now + late}
    context.store.put(KIND, record["key"], record)


def _list_attached_photos(given: Record) -> list[str]:
    """Return the photo ids of `attached_media` (a JSON list), in order."""
    listed = _parse_json(given.get("attached_media") or [])
    if not isinstance(listed, list):
        raise refuse("no_media_list")
    parsed = [_parse_json(item) for item in listed]
    keys = [str(item["media_fbid"]) for item in parsed if isinstance(item, dict) and "media_fbid" in item]
    if len(keys) < len(parsed):
        raise refuse("no_media_id")
    return keys


def _parse_json(value: object) -> object:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        raise refuse("no_media_json") from None


def _check_not_duplicate(call: Call, account: Record, message: str) -> None:
    """Refuse a message equal to that of the last live feed post."""
    posts = reversed(call.context.ledger.list_for(PLATFORM, account["remote_id"]))
    last = next((live.entry["caption"] for live in posts if live.entry["kind"] in _FEED_KINDS), None)
    if message and message == last:
        raise refuse("duplicate")


def build_permalink(record: Record) -> str:
    """Return the public URL of a post; of a story it does not show the post's id."""
    if record["kind"] == STORY:
        name = base64.urlsafe_b64encode(f"S:_ISC:{record['key']}".encode()).decode().rstrip("=")
        return f"https://www.facebook.com/stories/{record['account']}/{name}/"
    if record["video"] is not None:
        path = "reel" if record["kind"] == "reel" else f"{record['account']}/videos"
        return f"https://www.facebook.com/{path}/{record['video']}/"
    return f"https://www.facebook.com/{record['account']}/posts/{record['key'].partition('_')[2]}"


def _to_dict(record: Record) -> Record:
    """Return every field of a post that a request can select."""
    post = fill(
        TABLE["answers"]["post"],
        record=record,
        message=record["message"] or None,
        created=graph.to_time(record["created"]),
        permalink=build_permalink(record),
        status="added_video" if record["video"] else "added_photos" if record["photos"] else None,
    )
    return post | {"attachments": _attachments_to_dict(record)}


def _attachments_to_dict(record: Record) -> Record | None:
    media, shown = ("photo", "photo"), record["photos"]
    if record["video"] is not None:
        media, shown = ("video", "video_inline"), [record["video"]]
    parts = [{"media_type": media[0], "type": media[1], "target": {"id": key}} for key in shown]
    if record["link"] and not parts:
        parts = [{"media_type": "link", "type": "share", "target": {"url": record["link"]}}]
    if len(parts) > 1:
        return {"data": [{"media_type": "album", "type": "album", "subattachments": {"data": parts}}]}
    return {"data": parts} if parts else None


def is_readable(call: Call, record: Record) -> bool:
    """Return True if a read with its Page's token finds the post now."""
    return not record["is_deleted"] and record["hidden_until"] <= call.context.clock.now()


def _get_own_post(call: Call, account: Record) -> Record:
    record = graph.get_own(call, account, KIND)
    if record["is_deleted"]:
        raise graph.unknown_node(record["key"])
    return record


async def read(call: Call, account: Record) -> web.Response:
    """GET /{post}."""
    record = _get_own_post(call, account)
    if not is_readable(call, record) or call.take_fault("late-visibility") is not None:
        raise graph.unknown_node(record["key"])
    return ok(graph.select_fields(call, _to_dict(record), _FIELDS), account)


async def update(call: Call, account: Record) -> web.Response:
    """POST /{post} with `is_published=true`: publish it; a repetition does nothing."""
    record = _get_own_post(call, account)
    given = graph.read_typed(call, "Post.api_update")
    if "is_published" not in given:
        raise refuse("only_is_published")
    expected = graph.is_true(given, "is_published", default=False)
    if record["is_published"] and not expected:
        raise refuse("unpublishing")
    if expected and not record["is_published"]:
        publish(call.context, account, record, call.take_visibility_delay())
    return ok({"success": True}, account)


async def delete(call: Call, account: Record) -> web.Response:
    """DELETE /{post}."""
    call.save(KIND, _get_own_post(call, account), is_deleted=True)
    return ok({"success": True}, account)


async def list_posts(call: Call) -> web.Response:
    """GET /{page}/published_posts: newest first."""
    return list_kind(call, None, _FIELDS, lambda _, row: row)


def list_kind(
    call: Call, kind: str | None, fields: str, to_row: Callable[[Record, Record], Record]
) -> web.Response:
    """Return the live posts of a Page, of one kind or all; `to_row` changes a post's record and fields."""
    account = graph.check_node(call, authenticate_page(call, READ_SCOPE))
    live = graph.list_live(call, account)
    posts = [call.context.store.get(KIND, one.entry["extra"]["post_id"]) for one in live]
    kinds = [kind] if kind else [*_FEED_KINDS, "reel", "video"]  # stories have a list of their own
    shown = [one for one in posts if one and not one["is_deleted"] and one["kind"] in kinds]
    return ok(graph.paginate(call, [to_row(one, _to_dict(one)) for one in shown], fields), account)


async def create_photo(call: Call, account: Record) -> web.Response:
    """POST /{page}/photos with `url`."""
    given = graph.read_typed(call, "Page.create_photo")
    record: Record = {"key": random_digits(15, "12"), "account": account["remote_id"], "post": None}
    record |= {"created": call.context.clock.now(), "alt_text": str(given.get("alt_text_custom") or "")}
    record["media"] = await _check_image(call, given)
    body = {"id": record["key"]}
    if graph.is_true(given, "published", default=True):
        made = _create(call, account, str(given.get("message") or given.get("caption") or ""), [record])
        publish(call.context, account, made)
        record["post"] = body["post_id"] = made["key"]
    call.save(PHOTO_KIND, record)
    return ok(body, account)


async def _check_image(call: Call, given: Record) -> Record:
    url, rules, unreachable = given.get("url"), TABLE["media"]["image"], "unfetchable_image"
    if not isinstance(url, str) or not url:
        raise refuse("no_image")
    found = await examine_url(call.context, PLATFORM, url, _MAX_BYTES, rules, unreachable, is_video=False)
    if found.error is not None:
        raise refuse(found.error)
    return found.media[0]


def get_attachable(call: Call, account: Record, key: str) -> Record:
    """Return the unpublished photo `key` for a post. Raises Refused if it is unknown, published or expired."""
    record = call.get_own(PHOTO_KIND, key, account, "unknown_photo", key=key)
    if record["post"] is not None:
        held = call.context.store.get(KIND, record["post"])
        if held is not None and held["is_published"]:
            raise refuse("posted_photo")
    elif call.context.clock.now() >= record["created"] + DAY:
        raise refuse("expired_photo", key=key)
    return record


async def delete_photo(call: Call, account: Record) -> web.Response:
    """DELETE /{photo}: refused once a post uses it."""
    record = graph.get_own(call, account, PHOTO_KIND)
    if record["post"] is not None:
        raise graph.unknown_node(record["key"])
    call.context.store.drop(PHOTO_KIND, record["key"])
    return ok({"success": True}, account)
