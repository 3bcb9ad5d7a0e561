"""Music: the commercial charts of the sandbox, and the sound of each TikTok post by www.tiktok.com/oembed.

Every well-formed link has a post. One whose id ends in 7 has the charted clip, every other a sound outside the charts.
"""

import hashlib
import html
import re
from urllib.parse import quote, urlsplit

from aiohttp import web

from adapters.sandbox.dialect import Dialect, fill, json_response
from adapters.sandbox.endpoint import Call
from adapters.sandbox.store import Record
from adapters.sandbox.tiktok_business import api
from adapters.sandbox.tiktok_business.api import TABLE, refuse

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
    shown: Record = fill(
        TABLE["answers"]["track"], track=track, rank=str(rank), genre=_GENRE, duration=180 if full else 0
    )
    clips = {"full_duration_song_clip": (full, 180), "trending_song_clip": (track.get("trending"), 30)}
    return shown | {name: _clip_to_dict(*clip) for name, clip in clips.items()}


async def list_trending(call: Call) -> web.Response:
    """GET /discovery/cml/trending_list/."""
    api.authenticate_reader(call)
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
    return api.ok({"list": [_track_to_dict(rank, track) for rank, track in enumerate(charted, 1)] or None})


async def list_videos(call: Call) -> web.Response:
    """GET /discovery/cml/video_list/: list posts that use a track."""
    api.authenticate_reader(call)
    music_id = call.request.query.get("commercial_music_id")
    if music_id not in {track["commercial_id"] for track in TABLE["tracks"]}:
        raise refuse("unknown_music")
    top = [fill(TABLE["answers"]["top_video"], id=f"72123456789012345{tail}7") for tail in range(10, 12)]
    return api.ok({"top_video_list": top})


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
