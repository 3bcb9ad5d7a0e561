"""Reads of Instagram: containers, media, listings and the account."""

from aiohttp import web

from adapters.sandbox import graph
from adapters.sandbox.endpoint import Call
from adapters.sandbox.instagram import container
from adapters.sandbox.instagram.container import KIND, PLATFORM
from adapters.sandbox.ledger import LivePost
from adapters.sandbox.store import Record

_PAGE = 25
_MAX_PAGE = 100
_MEDIA_TYPES = {"reel": "VIDEO", "carousel": "CAROUSEL_ALBUM"}
_PRODUCT_TYPES = {"reel": "REELS", "story": "STORY"}


def authenticate_account(call: Call, *scopes: str) -> Record:
    """Return the account of the token.

    Raises:
        Refused: the path names neither the account nor `me`, or the account is restricted.
    """
    account = call.authenticate(*scopes)
    node = graph.get_node_id(call.request)
    if node not in ("me", account["remote_id"]):
        raise graph.unknown_node(node)
    if account["options"].get("restricted"):
        raise graph.refuse(25, 2207050, "The Instagram account is restricted.")
    return account


def _select_fields(call: Call, known: Record, default: str) -> Record:
    asked = call.request.query.get("fields", default).split(",")
    fields = [name.partition("{")[0] for name in asked if name]
    for name in fields:
        if name not in known:
            raise graph.refuse(100, None, f"Tried accessing nonexisting field ({name})")
    return {name: known[name] for name in fields if known[name] is not None} | {"id": known["id"]}


async def read_container(call: Call) -> web.Response:
    """GET /{container}?fields=status_code,status."""
    account = call.authenticate()
    key = graph.get_node_id(call.request)
    record = call.find_own(KIND, key, account)
    if record is None:
        raise graph.unknown_node(key)
    code = container.get_state(call.context, record)
    known = {"id": key, "status_code": code, "status": container.describe_status(call.context, record)}
    return graph.ok(_select_fields(call, known, "id"))


def _media_to_dict(live: LivePost) -> Record:
    entry = live.entry
    return {
        "id": entry["remote_id"],
        "permalink": entry["url"],
        "timestamp": entry["at"][:19] + "+0000",
        "media_type": _MEDIA_TYPES.get(entry["kind"], "IMAGE"),
        "media_product_type": _PRODUCT_TYPES.get(entry["kind"], "FEED"),
        "caption": entry["caption"],
        "children": _children_to_dict(entry),
        "shortcode": entry["url"].rstrip("/").rpartition("/")[2],
    }


def _children_to_dict(entry: Record) -> Record | None:
    """Return the parts of a carousel; other media have none."""
    if entry["kind"] != "carousel":
        return None
    return {
        "data": [
            {"id": f"{entry['remote_id']}{n}", "media_type": "VIDEO" if "duration" in media else "IMAGE"}
            for n, media in enumerate(entry["media"])
        ]
    }


async def read_media(call: Call) -> web.Response:
    """GET /{media}?fields=id,permalink,timestamp,media_type,media_product_type,caption."""
    account = call.authenticate()
    key = graph.get_node_id(call.request)
    live = call.context.ledger.find(PLATFORM, key)
    is_hidden = live is None or not call.is_visible(live) or call.take_fault("late-visibility") is not None
    if live is None or is_hidden or live.entry["account"] != account["remote_id"]:
        raise graph.unknown_node(key)
    return graph.ok(_select_fields(call, _media_to_dict(live), "id"))


async def list_media(call: Call) -> web.Response:
    """GET /{ig}/media: newest first, without stories."""
    return _list(call, stories=False)


async def list_stories(call: Call) -> web.Response:
    """GET /{ig}/stories."""
    return _list(call, stories=True)


def _list(call: Call, *, stories: bool) -> web.Response:
    account = authenticate_account(call)
    query = call.request.query
    limit = min(_parse_int(query.get("limit")) or _PAGE, _MAX_PAGE)
    since, until = _parse_int(query.get("since")), _parse_int(query.get("until"))
    after = query.get("after")
    posts = call.context.ledger.list_for(PLATFORM, account["remote_id"])[::-1]
    if after is not None:
        ids = [live.entry["remote_id"] for live in posts]
        posts = posts[ids.index(after) + 1 :] if after in ids else []
    found = [
        live
        for live in posts
        if call.is_visible(live)
        and (live.entry["kind"] == "story") == stories
        and (since is None or int(live.created_at) >= since)
        and (until is None or live.created_at <= until)
    ]
    shown = found[:limit]
    body: Record = {"data": [_select_fields(call, _media_to_dict(live), "id") for live in shown]}
    if shown:
        cursors = {"before": shown[0].entry["remote_id"], "after": shown[-1].entry["remote_id"]}
        body["paging"] = {"cursors": cursors}
        if len(found) > limit:
            body["paging"]["next"] = str(call.request.url.update_query(after=cursors["after"]))
    return graph.ok(body)


def _parse_int(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isdecimal():
        raise graph.refuse(100, None, "Param since, until and limit must be numbers.")
    return int(text)


async def read_account(call: Call) -> web.Response:
    """GET /me, or /{ig}."""
    mine = authenticate_account(call)
    known = {
        "id": mine["remote_id"],
        "user_id": mine["remote_id"],
        "username": mine["username"],
        "name": mine["display_name"],
        "account_type": "BUSINESS",
        "profile_picture_url": f"https://scontent.cdninstagram.example/{mine['remote_id']}.jpg",
    }
    return graph.ok(_select_fields(call, known, "id"))
