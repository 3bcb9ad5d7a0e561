"""Responses of TikTok Business: HTTP 200 with a code, 0 for success; its tokens, and music.

Music: the commercial charts of the sandbox, and the sound of each TikTok post by www.tiktok.com/oembed. Every
well-formed link has a post. One whose id ends in 7 has the charted clip, every other a sound outside the charts.
"""

import hashlib
import html
import json
import re
from dataclasses import replace
from urllib.parse import quote, urlsplit

from aiohttp import web

from adapters.sandbox.dialect import Dialect, check_fields, fill, json_response, load_table
from adapters.sandbox.endpoint import Call
from adapters.sandbox.oauth import GrantRefused, TokenEndpoint, check_client
from adapters.sandbox.store import Record
from adapters.sandbox.tiktok.api import new_log_id

PLATFORM = "tiktok_business"
TABLE = load_table(PLATFORM)


def _respond(
    code: int, message: str, data: Record, status: int = 200, wait: int | None = None
) -> web.Response:
    request_id = new_log_id()
    body = {"code": code, "message": message, "request_id": request_id, "data": data}
    return json_response(body, status, {"X-Tt-Logid": request_id}, wait=wait)


def ok(data: Record | None = None) -> web.Response:
    """Return a success response."""
    return _respond(0, "OK", data or {})


def error_response(code: int, message: str, status: int = 200, wait: int | None = None) -> web.Response:
    """Return an error response; `wait`: seconds for Retry-After."""
    return _respond(code, message, {}, status, wait)


DIALECT = Dialect(
    error_response,
    TABLE["errors"],
    lambda call: call.request.headers.get("Access-Token") or None,
    TABLE["requests"],
)
refuse = DIALECT.refuse


def authenticate_owner(call: Call, business_id: object, *scopes: str) -> Record:
    """Return the account of the token; raise Refused for a foreign `business_id` or above the limit per minute."""
    if not call.request.headers.get("Access-Token"):
        raise refuse("empty_token")
    account = call.authenticate(*scopes)
    if business_id != account["remote_id"]:
        raise refuse("foreign_business")
    call.count(TABLE["limits"]["calls"], f"{account['remote_id']}:{call.request.path}")
    return account


def authenticate_reader(call: Call, *scopes: str) -> Record:
    """Return the account of the token; the query names the business."""
    return authenticate_owner(call, call.request.query.get("business_id"), *scopes)


def read_json_parameter(call: Call, name: str) -> object:
    """Return a query parameter that is JSON text; None if absent."""
    text = call.request.query.get(name)
    try:
        return None if text is None else json.loads(text)
    except ValueError:
        raise refuse("no_json", name=name) from None


def _check_app(call: Call, body: Record) -> None:
    check_fields(body, TABLE["app"], refuse)
    check_client(call.context, PLATFORM, body["client_id"], body["client_secret"])


def _check_exchange(call: Call, body: Record) -> None:
    _check_app(call, body)
    if not body.get("redirect_uri"):
        raise GrantRefused("grant_type", "")


TOKEN = TokenEndpoint(
    platform=PLATFORM,
    render=error_response,
    read=Call.json,
    respond=ok,
    check=_check_exchange,
    **TABLE["tokens"],
)
REFRESH = replace(TOKEN, check=_check_app, **TABLE["refresh"])


async def read_token_info(call: Call) -> web.Response:
    """POST /tt_user/token_info/get/: the scopes that were granted."""
    body, accounts = call.json(), call.context.accounts
    if not body.get("app_id"):
        raise refuse("missing", field="app_id")
    record = accounts.find_token(PLATFORM, str(body.get("access_token", "")))
    if record is None or record["role"] != "access" or accounts.get_token_state(record) != "valid":
        raise refuse("unknown_token")
    account = call.find_token_owner(record)
    scope = "" if account is None else ",".join(accounts.list_granted_scopes(record, account))
    return ok({"app_id": body["app_id"], "scope": scope, "creator_id": record["remote_id"]})


_FULL_HOSTS = ("tiktok.com", "www.tiktok.com", "m.tiktok.com")
_SHORT_HOSTS = ("vm.tiktok.com", "vt.tiktok.com")
_POST = re.compile(r"/@(?P<handle>[A-Za-z0-9_.]*)/(?P<sort>video|photo)/(?P<id>\d{8,25})/?\Z")
_MOBILE = re.compile(r"/v/(?P<id>\d{8,25})\.html\Z")
_CODE = re.compile(r"(?:/t)?/(?P<code>[A-Za-z0-9]{4,20})/?\Z")
_SHORT_ID_DIGITS = 18
_WINDOWS = ("1DAY", "7DAY", "30DAY", "90DAY")
_CHARTED_CLIP = "7221171716369631233"
_UNCHARTED_SOUND = "6689804660171082501"
_GENRE = "POP"


def is_attachable(sound_id: object) -> bool:
    """Return whether the id is a valid music_sound_id: one of the clips, not a commercial_music_id."""
    return any(
        sound_id in (track.get("trending"), track.get("full")) for track in TABLE["tracks"] if sound_id
    )


def _clip_to_dict(clip_id: str | None, duration: int) -> Record:
    return {} if clip_id is None else fill(TABLE["answers"]["clip"], id=clip_id, duration=duration)


def _track_to_dict(rank: int, track: Record) -> Record:
    full = track.get("full")
    shown = fill(
        TABLE["answers"]["track"], track=track, rank=str(rank), genre=_GENRE, duration=180 if full else 0
    )
    clips = {"full_duration_song_clip": (full, 180), "trending_song_clip": (track.get("trending"), 30)}
    return shown | {name: _clip_to_dict(*clip) for name, clip in clips.items()}


async def list_trending(call: Call, _: Record) -> web.Response:
    """GET /discovery/cml/trending_list/."""
    query = call.request.query
    window, country = query.get("date_range", "7DAY"), query.get("country_code", "US")
    if window not in _WINDOWS:
        raise refuse("date_range", windows=", ".join(_WINDOWS))
    charted = [
        track
        for track in TABLE["tracks"]
        if window in track.get("windows", _WINDOWS)
        and country in track.get("countries", (country,))
        and query.get("genre", "ALL") in ("ALL", _GENRE)
    ]
    return ok({"list": [_track_to_dict(rank, track) for rank, track in enumerate(charted, 1)] or None})


def _oembed_error(
    status: int, message: str = "Something went wrong", wait: int | None = None
) -> web.Response:
    return json_response({"code": status, "message": message}, status, wait=wait)


OEMBED = Dialect(_oembed_error, TABLE["oembed_errors"], lambda _: None)


def _parse_link(link: str) -> tuple[str, str, str] | None:
    """Return handle, sort and id of the post that a link names, or None."""
    try:
        parts = urlsplit(link)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https"):
        return None
    if parts.netloc in _FULL_HOSTS:
        if match := _POST.match(parts.path):
            return match["handle"] or "user", match["sort"], match["id"]
        if match := _MOBILE.match(parts.path):
            return "scout2015", "video", match["id"]
    is_short = parts.netloc in _SHORT_HOSTS or (parts.netloc in _FULL_HOSTS and parts.path.startswith("/t/"))
    if is_short and (match := _CODE.match(parts.path)):
        return "scout2015", "video", _hash_code(match["code"])
    return None


def _hash_code(code: str) -> str:
    """Return a stable id for a short link; a code that ends in 7 gives such an id."""
    number = int(hashlib.sha256(code.encode()).hexdigest(), 16) % 10 ** (_SHORT_ID_DIGITS - 1)
    return f"7{number:0{_SHORT_ID_DIGITS - 1}d}{'7' if code.endswith('7') else '3'}"


async def read_oembed(call: Call) -> web.Response:
    """GET /oembed?url=<link>."""
    post = _parse_link(call.request.query.get("url", ""))
    if post is None or call.take_fault("oembed-gone") is not None:
        raise OEMBED.refuse("malformed")
    handle, sort, post_id = post
    anchor = "" if call.take_fault("oembed-no-anchor") is not None else _render_anchor(post_id)
    author = f"https://www.tiktok.com/@{handle}"
    return json_response(
        fill(TABLE["answers"]["oembed"], handle=handle, sort=sort, id=post_id, author=author, anchor=anchor)
    )


def _render_anchor(post_id: str) -> str:
    sound, title = (_UNCHARTED_SOUND, "original sound - tiff")
    if post_id.endswith("7"):
        sound, title = _CHARTED_CLIP, "Track - Artist"
    slug = quote(title.partition(" - ")[0].replace(" ", "-"))
    shown = html.escape(f"\N{BEAMED SIXTEENTH NOTES} {title}")
    href = f"https://www.tiktok.com/music/{slug}-{sound}?refer=embed"
    return f'<a target="_blank" title="{shown}" href="{href}">{shown}</a>'
