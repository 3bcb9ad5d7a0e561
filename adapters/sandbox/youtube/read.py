"""What can be read from the YouTube stand-in: videos by id, the channel, and its uploads, newest first."""

from aiohttp import web

from adapters.sandbox.endpoint import Call, Endpoint
from adapters.sandbox.ledger import to_iso
from adapters.sandbox.store import Record
from adapters.sandbox.youtube import video
from adapters.sandbox.youtube.dialect import DIALECT, MAY_READ, PLATFORM, etag, ok, out_of_quota, refuse
from adapters.sandbox.youtube.quota import spend_unit

_IDS_MOST = 50
_PAGE, _PAGE_MOST = 5, 50


def _parts(call: Call, known: tuple[str, ...]) -> tuple[str, ...]:
    parts = tuple(name for name in call.request.query.get("part", "").split(",") if name)
    if not parts:
        raise refuse("missingRequiredParameter", "Required parameter: part")
    for name in parts:
        if name not in known:
            raise refuse("unknownPart", f"'{name}'")
    return parts


def _list(kind: str, items: list[Record], total: int, more: Record | None = None) -> web.Response:
    body: Record = {"kind": kind, "etag": etag({"items": items}), **(more or {}), "items": items}
    return ok(body | {"pageInfo": {"totalResults": total, "resultsPerPage": len(items)}})


def _is_hidden(call: Call, record: Record) -> bool:
    return bool(record["hidden_until"] > call.context.clock.now())


async def videos(call: Call) -> web.Response:
    """GET /youtube/v3/videos?part=…&id=…: what is not there is left out."""
    account = call.authenticate(*MAY_READ)
    parts = _parts(call, (*video.PARTS, "statistics", "player"))
    ids = [key for key in call.request.query.get("id", "").split(",") if key]
    if not 0 < len(ids) <= _IDS_MOST:
        raise refuse("missingRequiredParameter", "No filter selected: one to fifty ids are expected.")
    spend_unit(call)
    is_late = call.take_fault("late-visibility") is not None
    items = []
    for key in ids:
        record = call.context.store.get(video.KIND, key)
        if record is None or record["account"] != account["remote_id"] or is_late or _is_hidden(call, record):
            continue
        items.append(video.resource(record, parts))
    return _list("youtube#videoListResponse", items, len(items))


async def channels(call: Call) -> web.Response:
    """GET /youtube/v3/channels?mine=true."""
    account = call.authenticate(*MAY_READ)
    parts = _parts(call, ("id", "snippet", "contentDetails", "status", "statistics", "brandingSettings"))
    spend_unit(call)
    wanted = call.request.query.get("id")
    if call.request.query.get("mine") != "true" and wanted is None:
        raise refuse("missingRequiredParameter", "No filter selected.")
    if account["options"].get("no_channel") or wanted not in (None, account["remote_id"]):
        return _list("youtube#channelListResponse", [], 0)
    known = {
        "snippet": {
            "title": account["display_name"],
            "description": "",
            "customUrl": f"@{account['username']}",
            "publishedAt": "2020-01-01T00:00:00Z",
        },
        "contentDetails": {"relatedPlaylists": {"likes": "LL", "uploads": _uploads(account)}},
        "status": {
            "privacyStatus": "public",
            "isLinked": True,
            "longUploadsStatus": "disallowed" if account["options"].get("unverified") else "allowed",
        },
    }
    item = {"kind": "youtube#channel", "etag": etag(account), "id": account["remote_id"]}
    item |= {name: known[name] for name in parts if name in known}
    return _list("youtube#channelListResponse", [item], 1)


def _uploads(account: Record) -> str:
    """The playlist of everything the channel has uploaded."""
    return "UU" + str(account["remote_id"])[2:]


async def playlist_items(call: Call) -> web.Response:
    """GET /youtube/v3/playlistItems?playlistId=UU…: the channel's uploads, newest first."""
    account = call.authenticate(*MAY_READ)
    query = call.request.query
    parts = _parts(call, ("id", "snippet", "contentDetails", "status"))
    spend_unit(call)
    if query.get("playlistId") != _uploads(account):
        raise refuse("playlistNotFound", "The playlist identified with the playlistId cannot be found.", 404)
    size, start = _number(query.get("maxResults"), _PAGE), _number(query.get("pageToken"), 0)
    mine = [
        record
        for record in reversed(list(call.context.store.get_all(video.KIND).values()))
        if record["account"] == account["remote_id"] and not _is_hidden(call, record)
    ]
    size = min(size, _PAGE_MOST)
    items = [_item(account, record, place, parts) for place, record in enumerate(mine)][start : start + size]
    more = {"nextPageToken": str(start + size)} if start + size < len(mine) else {}
    return _list("youtube#playlistItemListResponse", items, len(mine), more)


def _number(text: str | None, otherwise: int) -> int:
    if text is None:
        return otherwise
    if not text.isdecimal():
        raise refuse("invalidPageToken", "The request specifies an invalid page token or page size.")
    return int(text)


def _item(account: Record, record: Record, place: int, parts: tuple[str, ...]) -> Record:
    published = to_iso(record["published"])[:19] + "Z"
    known = {
        "snippet": {
            "publishedAt": published,
            "channelId": account["remote_id"],
            "title": record["snippet"]["title"],
            "description": record["snippet"]["description"],
            "playlistId": _uploads(account),
            "position": place,
            "resourceId": {"kind": "youtube#video", "videoId": record["key"]},
        },
        "contentDetails": {"videoId": record["key"], "videoPublishedAt": published},
        "status": {"privacyStatus": record["status"]["privacyStatus"]},
    }
    item: Record = {
        "kind": "youtube#playlistItem",
        "etag": etag(record),
        "id": f"{_uploads(account)}.{record['key']}",
    }
    return item | {name: known[name] for name in parts if name in known}


VIDEOS = Endpoint(
    platform=PLATFORM, step="look", handle=videos, dialect=DIALECT, quota_exhausted=lambda _: out_of_quota()
)
CHANNELS = Endpoint(
    platform=PLATFORM, step="read", handle=channels, dialect=DIALECT, quota_exhausted=lambda _: out_of_quota()
)
PLAYLIST_ITEMS = Endpoint(
    platform=PLATFORM,
    step="look",
    handle=playlist_items,
    dialect=DIALECT,
    quota_exhausted=lambda _: out_of_quota(),
)
