"""What can be read from the Instagram stand-in: containers, media, listings, the account."""

from aiohttp import web

from adapters.sandbox.endpoint import Call, Endpoint
from adapters.sandbox.graph_dialect import DIALECT, ok, refuse
from adapters.sandbox.instagram import container, node
from adapters.sandbox.instagram.container import KIND, PLATFORM
from adapters.sandbox.ledger import LivePost
from adapters.sandbox.store import Record

_PAGE = 25
_PAGE_MOST = 100
_MEDIA_TYPES = {"reel": "VIDEO", "carousel": "CAROUSEL_ALBUM"}
_PRODUCT_TYPES = {"reel": "REELS", "story": "STORY"}


def _chosen(call: Call, known: Record, otherwise: str) -> Record:
    fields = [name for name in call.request.query.get("fields", otherwise).split(",") if name]
    for name in fields:
        if name not in known:
            raise refuse(100, None, f"Tried accessing nonexisting field ({name})")
    return {name: known[name] for name in fields} | {"id": known["id"]}


async def container_status(call: Call) -> web.Response:
    """GET /{container}?fields=status_code,status."""
    account = call.authenticate()
    key = node.get_node_id(call.request)
    record = call.context.store.get(KIND, key)
    if record is None or record["account"] != account["remote_id"]:
        raise node.unknown_node(key)
    code = container.state(call.context, record)
    known = {"id": key, "status_code": code, "status": container.status_text(call.context, record)}
    return ok(_chosen(call, known, "id"))


def _media(live: LivePost) -> Record:
    entry = live.entry
    return {
        "id": entry["remote_id"],
        "permalink": entry["url"],
        "timestamp": entry["at"][:19] + "+0000",
        "media_type": _MEDIA_TYPES.get(entry["kind"], "IMAGE"),
        "media_product_type": _PRODUCT_TYPES.get(entry["kind"], "FEED"),
        "caption": entry["caption"],
        "shortcode": entry["url"].rstrip("/").rpartition("/")[2],
    }


async def media(call: Call) -> web.Response:
    """GET /{media}?fields=id,permalink,timestamp,media_type,media_product_type,caption."""
    account = call.authenticate()
    key = node.get_node_id(call.request)
    live = call.context.ledger.find(PLATFORM, key)
    is_hidden = (
        live is None
        or live.visible_at > call.context.clock.now()
        or call.take_fault("late-visibility") is not None
    )
    if live is None or is_hidden or live.entry["account"] != account["remote_id"]:
        raise node.unknown_node(key)
    return ok(_chosen(call, _media(live), "id"))


async def listing(call: Call) -> web.Response:
    """GET /{ig}/media: newest first, without stories."""
    return _list(call, stories=False)


async def stories(call: Call) -> web.Response:
    """GET /{ig}/stories."""
    return _list(call, stories=True)


def _list(call: Call, *, stories: bool) -> web.Response:
    account = node.own_account(call)
    query = call.request.query
    limit = min(_number(query.get("limit")) or _PAGE, _PAGE_MOST)
    since, until = _number(query.get("since")), _number(query.get("until"))
    after = query.get("after")
    now = call.context.clock.now()
    shown: list[LivePost] = []
    has_more, is_reached = False, after is None
    for live in reversed(call.context.ledger.list_for(PLATFORM, account["remote_id"])):
        is_shown = live.visible_at <= now and (live.entry["kind"] == "story") == stories
        is_within = (since is None or int(live.created_at) >= since) and (
            until is None or live.created_at <= until
        )
        if is_reached and is_shown and is_within:
            if len(shown) == limit:
                has_more = True
                break
            shown.append(live)
        is_reached = is_reached or live.entry["remote_id"] == after
    body: Record = {"data": [_chosen(call, _media(live), "id") for live in shown]}
    if shown:
        cursors = {"before": shown[0].entry["remote_id"], "after": shown[-1].entry["remote_id"]}
        body["paging"] = {"cursors": cursors}
        if has_more:
            body["paging"]["next"] = str(call.request.url.update_query(after=cursors["after"]))
    return ok(body)


def _number(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isdecimal():
        raise refuse(100, None, "Param since, until and limit must be numbers.")
    return int(text)


async def account(call: Call) -> web.Response:
    """GET /me, or /{ig}."""
    mine = node.own_account(call)
    known = {
        "id": mine["remote_id"],
        "user_id": mine["remote_id"],
        "username": mine["username"],
        "name": mine["display_name"],
        "account_type": "BUSINESS",
        "profile_picture_url": f"https://scontent.cdninstagram.example/{mine['remote_id']}.jpg",
    }
    return ok(_chosen(call, known, "id"))


CONTAINER = Endpoint(platform=PLATFORM, step="look", handle=container_status, dialect=DIALECT)
MEDIA = Endpoint(platform=PLATFORM, step="read", handle=media, dialect=DIALECT)
LISTING = Endpoint(platform=PLATFORM, step="read", handle=listing, dialect=DIALECT)
STORIES = Endpoint(platform=PLATFORM, step="read", handle=stories, dialect=DIALECT)
ACCOUNT = Endpoint(platform=PLATFORM, step="read", handle=account, dialect=DIALECT)
