"""Reads of YouTube: videos by id, the channel, and its uploads, newest first."""

from aiohttp import web

from adapters.sandbox.endpoint import Call
from adapters.sandbox.ledger import to_iso
from adapters.sandbox.store import Record
from adapters.sandbox.youtube import api, video

_MAX_IDS = 50
_PAGE, _MAX_PAGE = 5, 50


def _parse_parts(call: Call, known: tuple[str, ...]) -> tuple[str, ...]:
    parts = tuple(name for name in call.request.query.get("part", "").split(",") if name)
    if not parts:
        raise api.refuse("missingRequiredParameter", "Required parameter: part")
    for name in parts:
        if name not in known:
            raise api.refuse("unknownPart", f"'{name}'")
    return parts


def _list_response(kind: str, items: list[Record], total: int, more: Record | None = None) -> web.Response:
    body: Record = {"kind": kind, "etag": api.make_etag({"items": items}), **(more or {}), "items": items}
    return api.ok(body | {"pageInfo": {"totalResults": total, "resultsPerPage": len(items)}})


def _is_hidden(call: Call, record: Record) -> bool:
    return bool(record["hidden_until"] > call.context.clock.now())


async def list_videos(call: Call) -> web.Response:
    """GET /youtube/v3/videos?part=…&id=…: unknown ids are left out."""
    account = call.authenticate(*api.MAY_READ)
    parts = _parse_parts(call, (*video.PARTS, "statistics", "player"))
    ids = [key for key in call.request.query.get("id", "").split(",") if key]
    if not 0 < len(ids) <= _MAX_IDS:
        raise api.refuse("missingRequiredParameter", "No filter selected: one to fifty ids are expected.")
    api.spend(call)
    is_late = call.take_fault("late-visibility") is not None
    items = []
    for key in ids:
        record = call.find_own(video.KIND, key, account)
        if record is not None and not is_late and not _is_hidden(call, record):
            items.append(video.to_resource(record, parts))
    return _list_response("youtube#videoListResponse", items, len(items))


async def list_channels(call: Call) -> web.Response:
    """GET /youtube/v3/channels?mine=true."""
    account = call.authenticate(*api.MAY_READ)
    parts = _parse_parts(
        call, ("id", "snippet", "contentDetails", "status", "statistics", "brandingSettings")
    )
    api.spend(call)
    wanted = call.request.query.get("id")
    if call.request.query.get("mine") != "true" and wanted is None:
        raise api.refuse("missingRequiredParameter", "No filter selected.")
    if account["options"].get("no_channel") or wanted not in (None, account["remote_id"]):
        return _list_response("youtube#channelListResponse", [], 0)
    known = {
        "snippet": {
            "title": account["display_name"],
            "description": "",
            "customUrl": f"@{account['username']}",
            "publishedAt": "2020-01-01T00:00:00Z",
        },
        "contentDetails": {"relatedPlaylists": {"likes": "LL", "uploads": _get_uploads_playlist(account)}},
        "status": {
            "privacyStatus": "public",
            "isLinked": True,
            "longUploadsStatus": "disallowed" if account["options"].get("unverified") else "allowed",
        },
    }
    item = {"kind": "youtube#channel", "etag": api.make_etag(account), "id": account["remote_id"]}
    item |= {name: known[name] for name in parts if name in known}
    return _list_response("youtube#channelListResponse", [item], 1)


def _get_uploads_playlist(account: Record) -> str:
    """Return the id of the playlist with the channel's uploads."""
    return "UU" + str(account["remote_id"])[2:]


async def list_playlist_items(call: Call) -> web.Response:
    """GET /youtube/v3/playlistItems?playlistId=UU…: the channel's uploads, newest first."""
    account = call.authenticate(*api.MAY_READ)
    query = call.request.query
    parts = _parse_parts(call, ("id", "snippet", "contentDetails", "status"))
    api.spend(call)
    if query.get("playlistId") != _get_uploads_playlist(account):
        raise api.refuse(
            "playlistNotFound", "The playlist identified with the playlistId cannot be found.", 404
        )
    size, start = _parse_int(query.get("maxResults"), _PAGE), _parse_int(query.get("pageToken"), 0)
    mine = [record for record in call.list_own(video.KIND, account)[::-1] if not _is_hidden(call, record)]
    size = min(size, _MAX_PAGE)
    items = [_item_to_dict(account, record, place, parts) for place, record in enumerate(mine)][
        start : start + size
    ]
    more = {"nextPageToken": str(start + size)} if start + size < len(mine) else {}
    return _list_response("youtube#playlistItemListResponse", items, len(mine), more)


def _parse_int(text: str | None, default: int) -> int:
    if text is None:
        return default
    if not text.isdecimal():
        raise api.refuse("invalidPageToken", "The request specifies an invalid page token or page size.")
    return int(text)


def _item_to_dict(account: Record, record: Record, place: int, parts: tuple[str, ...]) -> Record:
    published = to_iso(record["published"])[:19] + "Z"
    known = {
        "snippet": {
            "publishedAt": published,
            "channelId": account["remote_id"],
            "title": record["snippet"]["title"],
            "description": record["snippet"]["description"],
            "playlistId": _get_uploads_playlist(account),
            "position": place,
            "resourceId": {"kind": "youtube#video", "videoId": record["key"]},
        },
        "contentDetails": {"videoId": record["key"], "videoPublishedAt": published},
        "status": {"privacyStatus": record["status"]["privacyStatus"]},
    }
    item: Record = {
        "kind": "youtube#playlistItem",
        "etag": api.make_etag(record),
        "id": f"{_get_uploads_playlist(account)}.{record['key']}",
    }
    return item | {name: known[name] for name in parts if name in known}
