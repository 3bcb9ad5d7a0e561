"""Responses of the YouTube sandbox: Google's error envelope, the daily quota of a project, Google's OAuth; and videos.

The day ends at midnight Pacific time. developers.google.com/youtube/v3/determine_quota_cost, read 2026-11-24: 100
videos.insert calls, 10 000 units of all other calls. The page does not say whether the start or the end of an upload is
charged; the sandbox charges the start.

Refresh tokens do not rotate. One is issued only for offline access, and only at the first consent unless the app asks
for another prompt: developers.google.com/identity/protocols/oauth2/web-server, read 2026-11-24.

A video is live from its last byte on. One that will fail or be rejected never is, and gets no line in the ledger.
Thumbnails: developers.google.com/youtube/v3/docs/thumbnails/set. The account option `no_thumbnails` is a channel
without a verified phone number, which may not set any.
"""

import hashlib
import secrets

from aiohttp import web

from adapters.sandbox import oauth
from adapters.sandbox.consent import ConsentScreen
from adapters.sandbox.context import DAY, SandboxContext
from adapters.sandbox.dialect import Dialect, encode, fill, json_response, load_table, read_bearer_token
from adapters.sandbox.endpoint import Call
from adapters.sandbox.media import VideoFacts, describe_file, find_flaw, read_image
from adapters.sandbox.oauth import GrantRefused, TokenEndpoint, read_form
from adapters.sandbox.processing import Task
from adapters.sandbox.store import Record, to_iso

PLATFORM = "youtube"
TABLE = load_table(PLATFORM)
_TESTING_S = 7 * DAY
_AGREED = "youtube.agreed"


def error_response(status: int, reason: str, message: str, *, wait: int | None = None) -> web.Response:
    """Return an error response; `wait`: seconds for Retry-After."""
    headers = {}
    domain = TABLE["domains"].get(reason, "youtube.video")
    detail: Record = {"domain": domain, "reason": reason, "message": message}
    error: Record = {"code": status, "message": message, "errors": [detail]}
    if status == 401:  # noqa: PLR2004 - HTTP's own number
        detail |= {"location": "Authorization", "locationType": "header"}
        error["status"] = "UNAUTHENTICATED"
    if reason == "authError":
        realm = 'Bearer realm="https://accounts.google.com/", error="invalid_token"'
        headers["WWW-Authenticate"] = realm
    return json_response({"error": error}, status, headers, wait=wait)


DIALECT = Dialect(
    error_response,
    TABLE["errors"],
    lambda call: read_bearer_token(call) or call.request.query.get("access_token"),
    TABLE["requests"],
)
refuse = DIALECT.refuse


def authenticate(call: Call, scopes: str, method: str | None = None) -> Record:
    """Return the account of the token; `scopes` names a list of the table.

    Raises Refused for a query parameter that `method` does not have, or of another type.
    """
    account = call.authenticate(*TABLE[scopes])
    if method is not None:
        for name, value in call.request.query.items():
            is_common = name in TABLE["requests"]["schemas"]["parameters"]
            DIALECT.check_types("parameters" if is_common else method, {name: value})
    return account


def make_etag(record: Record) -> str:
    """Return an ETag that changes with the record."""
    return hashlib.sha256(encode(record).encode()).hexdigest()[:27]


def spend(call: Call, quota: str = "units") -> None:
    """Charge one call to a quota of the project's day; raises Refused."""
    call.count(TABLE["limits"][quota], "project")


def _get_code_fields(_: SandboxContext, given: Record, __: list[Record]) -> Record:
    is_offline, is_prompted = given.get("access_type") == "offline", "consent" in str(given.get("prompt", ""))
    return {"offline": is_offline, "prompted": is_prompted, "client": given["client_id"]}


CONSENT = ConsentScreen(
    allow_parameters=lambda given: {"scope": str(given.get("scope", ""))},
    code_fields=_get_code_fields,
    **TABLE["consent"],
)


def _has_refresh_token(call: Call, account: Record, code: Record) -> bool:
    if "grant" not in code:  # a code of the control API
        return True
    key = f"{account['remote_id']}:{code['client']}"
    has_agreed = call.context.store.get(_AGREED, key) is not None
    if code["offline"]:
        call.context.store.put(_AGREED, key, {})
    return bool(code["offline"] and (code["prompted"] or not has_agreed))


def _check_age(call: Call, account: Record, found: Record) -> None:
    """Refuse a token over a week old while the consent screen is in "Testing" (option `testing`)."""
    is_old = call.context.clock.now() >= found["issued_at"] + _TESTING_S
    if account["options"].get("testing") and is_old:
        raise GrantRefused("refresh.expired", "")


TOKENS = TokenEndpoint(
    platform=PLATFORM,
    dialect=Dialect(oauth.error_response, TABLE["oauth_errors"], DIALECT.read_token),
    render=oauth.error_response,
    read=lambda call: read_form(call) | dict(call.request.query),
    has_refresh_token=_has_refresh_token,
    check_refresh=_check_age,
    **TABLE["tokens"],
)


VIDEO, _ITEM = "youtube.video", "youtube.playlist_item"
_SHORT_S = 180.0
_UNVERIFIED_S = 900.0
_LONGEST_S = 12 * 3600.0
_MAX_IDS = 50
_PAGE, _MAX_PAGE = 5, 50


def create_video(call: Call, session: Record, facts: VideoFacts | None) -> Record:
    """Create and store the video of a complete upload, live unless it will fail or be rejected."""
    context = call.context
    account = context.accounts.find(PLATFORM, session["account"])
    record: Record = {"key": secrets.token_urlsafe(8), "account": session["account"]}
    record |= {name: session[name] for name in ("snippet", "status", "name", "stuck") if name in session}
    record |= {"size": session["total"], "state": "processing", "reason": None}
    record |= {"published": context.clock.now(), "hidden_until": 0.0}
    record["duration"] = 0.0 if facts is None else facts.duration
    record["fail_reason"] = (
        session["fail_reason"] or "conversion" if "fail_reason" in session else _find_flaw(account, facts)
    )
    if account is not None and record["fail_reason"] is None and facts is not None:
        record["hidden_until"] = context.clock.now() + session.get("late", 0.0)
        _publish(context, account, record, session, facts)
    return call.save(VIDEO, record)


def _find_flaw(account: Record | None, facts: VideoFacts | None) -> str | None:
    if facts is None:
        return "invalidFile"
    longest = _UNVERIFIED_S if account is not None and account["options"].get("unverified") else _LONGEST_S
    return "length" if facts.duration > longest else None


def _publish(
    context: SandboxContext, account: Record, record: Record, session: Record, facts: VideoFacts
) -> None:
    status, snippet = record["status"], record["snippet"]
    context.publish(
        account,
        kind="video",
        remote_id=record["key"],
        handle=session["key"],
        caption=snippet["title"],
        media=[describe_file(facts)],
        url=f"https://www.youtube.com/watch?v={record['key']}",
        late=session.get("late", 0.0),
        public=status["privacyStatus"] == "public",
        privacy=status["privacyStatus"],
        description=snippet["description"],
        tags=snippet["tags"],
        category=snippet["categoryId"],
        made_for_kids=status.get("selfDeclaredMadeForKids"),
        ai_generated=status.get("containsSyntheticMedia"),
        notify=session["notify"],
        short=facts.height >= facts.width and facts.duration <= _SHORT_S,
    )


def _conclude(_: SandboxContext, record: Record, reason: str | None) -> None:
    state = "processed" if reason is None else "rejected" if reason in TABLE["rejections"] else "failed"
    record |= {"state": state, "reason": reason}


TASK = Task(kind=VIDEO, states=("processing",), fail=lambda reason: reason, conclude=_conclude)


def created_response(call: Call, key: str) -> web.Response:
    """Return the response to the last byte; repeated PUTs get the same."""
    record = call.context.store.get_all(VIDEO)[key]
    return json_response(_to_resource(record | {"state": "processing"}, ("snippet", "status")), 201)


def _to_resource(record: Record, parts: tuple[str, ...]) -> Record:
    """Return the API resource of a video with the given parts."""
    known = fill(
        TABLE["answers"]["video"],
        record=record,
        published=to_second(record["published"]),
        seconds=int(record["duration"]),
        size=str(record["size"]),
        thumbnail=_build_thumbnail_url(record["key"], record.get("thumbnail")),
    )
    known["snippet"] |= record["snippet"]
    known["status"] = record["status"] | fill(TABLE["upload_status"][record["state"]], record=record)
    known["processingDetails"] = fill(TABLE["processing"][record["state"]])
    body: Record = {"kind": "youtube#video", "etag": make_etag(record), "id": record["key"]}
    return body | {name: known[name] for name in parts if name in known}


def to_second(instant: float) -> str:
    """Return Unix seconds as Google writes times."""
    return to_iso(instant)[:19] + "Z"


def _build_thumbnail_url(key: str, sha256: str | None) -> str:
    """Return the URL of a thumbnail; in the sandbox it ends with the hash of the image that was set."""
    return f"https://i.ytimg.com/vi/{key}/{sha256 or 'default'}.jpg"


async def set_thumbnail(call: Call, account: Record) -> web.Response:
    """POST /upload/youtube/v3/thumbnails/set?videoId=…: the image is the body; a repetition replaces it."""
    key = call.request.query.get("videoId", "")
    record = call.get_own(VIDEO, key, account, "unknown_video")
    if account["options"].get("no_thumbnails"):
        raise refuse("no_thumbnails")
    if not call.body:
        raise refuse("no_image")
    facts = read_image(call.body)
    if facts is None or find_flaw(facts, TABLE["media"]["thumbnail"]):
        raise refuse("bad_image")
    call.save(VIDEO, record, thumbnail=facts.sha256, thumbnails_set=record.get("thumbnails_set", 0) + 1)
    url = _build_thumbnail_url(key, facts.sha256)
    return json_response(fill(TABLE["answers"]["thumbnail"], url=url, etag=facts.sha256[:27]))


def parse_parts(call: Call, known: str) -> tuple[str, ...]:
    """Return the parts that the query names; raises Refused for one that is not in the list `known` of the table."""
    parts = tuple(name for name in call.request.query.get("part", "").split(",") if name)
    if not parts:
        raise refuse("no_part")
    for name in parts:
        if name not in TABLE[known]:
            raise refuse("unknown_part", name=name)
    return parts


def list_response(kind: str, items: list[Record], total: int, more: Record | None = None) -> web.Response:
    """Return a page of a list; `total`: the items on all pages."""
    body: Record = {"kind": kind, "etag": make_etag({"items": items}), **(more or {}), "items": items}
    return json_response(body | {"pageInfo": {"totalResults": total, "resultsPerPage": len(items)}})


def _is_hidden(call: Call, record: Record) -> bool:
    return bool(record["hidden_until"] > call.context.clock.now())


async def list_videos(call: Call, account: Record) -> web.Response:
    """GET /youtube/v3/videos?part=…&id=…: unknown ids are left out."""
    parts = parse_parts(call, "video_parts")
    ids = [key for key in call.request.query.get("id", "").split(",") if key]
    if not 0 < len(ids) <= _MAX_IDS:
        raise refuse("ids")
    spend(call)
    is_late = call.take_fault("late-visibility") is not None
    found = [] if is_late else [call.find_own(VIDEO, key, account) for key in ids]
    items = [_to_resource(one, parts) for one in found if one is not None and not _is_hidden(call, one)]
    return list_response("youtube#videoListResponse", items, len(items))


async def list_channels(call: Call, account: Record) -> web.Response:
    """GET /youtube/v3/channels?mine=true."""
    parts = parse_parts(call, "channel_parts")
    spend(call)
    if call.request.query.get("mine") != "true":
        raise refuse("no_filter")
    if account["options"].get("no_channel"):
        return list_response("youtube#channelListResponse", [], 0)
    long_uploads = "disallowed" if account["options"].get("unverified") else "allowed"
    uploads = _get_uploads_playlist(account)
    known = fill(TABLE["answers"]["channel"], account=account, uploads=uploads, long_uploads=long_uploads)
    item = {"kind": "youtube#channel", "etag": make_etag(account), "id": account["remote_id"]}
    item |= {name: known[name] for name in parts if name in known}
    return list_response("youtube#channelListResponse", [item], 1)


def _get_uploads_playlist(account: Record) -> str:
    """Return the id of the playlist with the channel's uploads."""
    return "UU" + str(account["remote_id"])[2:]


async def list_playlist_items(call: Call, account: Record) -> web.Response:
    """GET /youtube/v3/playlistItems?playlistId=UU…: the channel's uploads, newest first; or one of its playlists."""
    parts = parse_parts(call, "playlist_parts")
    spend(call)
    if call.request.query.get("playlistId") in account["options"].get("playlists", ()):
        return _list_playlist(call, account, parts)
    if call.request.query.get("playlistId") != _get_uploads_playlist(account):
        raise refuse("unknown_playlist")
    size = min(call.read_number("maxResults", _PAGE, "bad_page"), _MAX_PAGE)
    start = call.read_number("pageToken", 0, "bad_page")
    named = call.request.query.get("videoId")
    mine = [
        record
        for record in call.list_own(VIDEO, account)[::-1]
        if not _is_hidden(call, record) and named in (None, record["key"])
    ]
    rows = list(enumerate(mine))[start : start + size]
    items = [_item_to_dict(_get_uploads_playlist(account), record, place, parts) for place, record in rows]
    more = {"nextPageToken": str(start + size)} if start + size < len(mine) else {}
    return list_response("youtube#playlistItemListResponse", items, len(mine), more)


def _list_playlist(call: Call, account: Record, parts: tuple[str, ...]) -> web.Response:
    """List a playlist by option `playlists`, oldest first, or with `videoId` that video in it."""
    playlist, named = call.request.query["playlistId"], call.request.query.get("videoId")
    listed = [one["video"] for one in call.list_own(_ITEM, account) if one["playlist"] == playlist]
    videos = call.context.store.get_all(VIDEO)
    items = [
        _item_to_dict(playlist, videos[key], place, parts)
        for place, key in enumerate(listed)
        if named in (None, key)
    ]
    return list_response("youtube#playlistItemListResponse", items, len(items))


async def insert_playlist_item(call: Call, account: Record) -> web.Response:
    """POST /youtube/v3/playlistItems: add a video at the end of a playlist of the channel."""
    parts, snippet = (
        parse_parts(call, "playlist_parts"),
        call.json("PlaylistItem", "resource").get("snippet") or {},
    )
    spend(call)
    playlist, video = snippet.get("playlistId"), str((snippet.get("resourceId") or {}).get("videoId"))
    if playlist == _get_uploads_playlist(account):
        raise refuse("no_operation")
    if playlist not in account["options"].get("playlists", ()):
        raise refuse("unknown_playlist")
    record = call.get_own(VIDEO, video, account, "unknown_video")
    if "position" in snippet:
        raise refuse("manual_sort")
    if call.find_own(_ITEM, f"{playlist}/{video}", account) is not None:
        raise refuse("in_playlist")
    call.create(_ITEM, f"{playlist}/{video}", account, playlist=playlist, video=video)
    return json_response(_item_to_dict(str(playlist), record, 0, parts))


def _item_to_dict(playlist: str, record: Record, place: int, parts: tuple[str, ...]) -> Record:
    known = fill(
        TABLE["answers"]["playlist_item"],
        record=record,
        place=place,
        playlist=playlist,
        published=to_second(record["published"]),
        etag=make_etag(record),
    )
    return {name: known[name] for name in ("kind", "etag", "id", *parts) if name in known}
