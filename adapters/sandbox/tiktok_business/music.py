"""Music: the commercial charts of the sandbox, and the sound of each TikTok post by www.tiktok.com/oembed.

Every well-formed link has a post. One whose id ends in 7 has the charted clip, every other a sound outside the charts.
"""

import hashlib
import html
import re
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from aiohttp import web

from adapters.sandbox.endpoint import Call, make_dialect
from adapters.sandbox.responses import Refused, json_response
from adapters.sandbox.store import Record
from adapters.sandbox.tiktok_business import api

_FULL_HOSTS = ("tiktok.com", "www.tiktok.com", "m.tiktok.com")
_SHORT_HOSTS = ("vm.tiktok.com", "vt.tiktok.com")
_POST = re.compile(r"/@(?P<handle>[A-Za-z0-9_.]*)/(?P<sort>video|photo)/(?P<id>\d{8,25})/?\Z")
_MOBILE = re.compile(r"/v/(?P<id>\d{8,25})\.html\Z")
_CODE = re.compile(r"(?:/t)?/(?P<code>[A-Za-z0-9]{4,20})/?\Z")
_SHORT_ID_DIGITS = 18
WINDOWS = ("1DAY", "7DAY", "30DAY", "90DAY")
CHARTED_CLIP = "7221171716369631233"
UNCHARTED_SOUND = "6689804660171082501"


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """A track of the charts; a clip that is None appears as {}."""

    commercial_id: str
    name: str
    artist: str
    trending: str | None = None
    full: str | None = None
    windows: tuple[str, ...] = WINDOWS
    countries: tuple[str, ...] | None = None
    """None: every country."""
    genre: str = "POP"


TRACKS = tuple(Track(**row) for row in api.TABLE["tracks"])


def is_attachable(sound_id: object) -> bool:
    """Return whether the id is a valid music_sound_id: one of the clips, not a commercial_music_id."""
    return any(sound_id in (track.trending, track.full) for track in TRACKS if sound_id)


def get_sound(post_id: str) -> tuple[str, str]:
    """Return the id and the display title of a post's sound."""
    if post_id.endswith("7"):
        return CHARTED_CLIP, "Track - Artist"
    return UNCHARTED_SOUND, "original sound - tiff"


def _clip_to_dict(clip_id: str | None, duration: int) -> Record:
    if clip_id is None:
        return {}
    return {
        "song_clip_id": clip_id,
        "duration": duration,
        "preview_url": f"https://sf16.tiktokcdn.example/{clip_id}",
    }


def _track_to_dict(rank: int, track: Track) -> Record:
    return {
        "commercial_music_id": track.commercial_id,
        "commercial_music_name": track.name,
        "artist": track.artist,
        "duration": 0 if track.full is None else 180,
        "thumbnail_url": f"https://p16.tiktokcdn.example/{track.commercial_id}.jpeg",
        "preview_url": f"https://sf16.tiktokcdn.example/{track.commercial_id}",
        "genres": [track.genre],
        "rank_position": str(rank),
        "trending_history": [{"date": "2026-10-06", "rank_position_daily": None}],
        "full_duration_song_clip": _clip_to_dict(track.full, 180),
        "trending_song_clip": _clip_to_dict(track.trending, 30),
    }


async def list_trending(call: Call) -> web.Response:
    """GET /discovery/cml/trending_list/."""
    query = call.request.query
    api.authenticate_owner(call, query.get("business_id"))
    window, country = query.get("date_range", "7DAY"), query.get("country_code", "US")
    if window not in WINDOWS:
        raise api.refuse(f"date_range: must be one of {', '.join(WINDOWS)}.")
    genre = query.get("genre", "ALL")
    charted = [
        track
        for track in TRACKS
        if window in track.windows
        and (track.countries is None or country in track.countries)
        and genre in ("ALL", track.genre)
    ]
    return api.ok({"list": [_track_to_dict(rank, track) for rank, track in enumerate(charted, 1)] or None})


async def list_videos(call: Call) -> web.Response:
    """GET /discovery/cml/video_list/: list posts that use a track."""
    query = call.request.query
    api.authenticate_owner(call, query.get("business_id"))
    if query.get("commercial_music_id") not in {track.commercial_id for track in TRACKS}:
        raise api.refuse("commercial_music_id: unknown.")
    top = [f"72123456789012345{tail}7" for tail in range(10, 12)]
    rows = [
        {
            "video_id": video,
            "share_url": f"https://www.tiktok.com/@scout2015/video/{video}",
            "embed_url": f"https://www.tiktok.com/embed/v2/{video}",
        }
        for video in top
    ]
    return api.ok({"top_video_list": rows})


def _oembed_error(
    status: int, message: str = "Something went wrong", wait: int | None = None
) -> web.Response:
    return json_response({"code": status, "message": message}, status, wait=wait)


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
        raise Refused(_oembed_error(400))
    handle, sort, post_id = post
    author = f"https://www.tiktok.com/@{handle}"
    cite = f"{author}/{sort}/{post_id}"
    anchor = "" if call.take_fault("oembed-no-anchor") is not None else _render_anchor(post_id)
    markup = (
        f'<blockquote class="tiktok-embed" cite="{cite}" data-video-id="{post_id}" data-embed-from="oembed" '
        f'style="max-width: 605px;min-width: 325px;" > <section> <a target="_blank" title="@{handle}" '
        f'href="{author}?refer=embed">@{handle}</a> <p>caption <a title="tag" target="_blank" '
        f'href="https://www.tiktok.com/tag/tag?refer=embed">#tag</a></p> {anchor} </section> </blockquote> '
        '<script async src="https://www.tiktok.com/embed.js"></script>'
    )
    return json_response(
        {
            "version": "1.0",
            "type": "video",
            "title": "caption #tag",
            "author_url": author,
            "author_name": handle,
            "author_unique_id": handle,
            "embed_product_id": post_id,
            "embed_type": sort,
            "width": "100%",
            "height": "100%",
            "thumbnail_url": f"https://p16-sign.tiktokcdn.example/{post_id}.image",
            "provider_name": "TikTok",
            "provider_url": "https://www.tiktok.com",
            "html": markup,
        }
    )


def _render_anchor(post_id: str) -> str:
    sound, title = get_sound(post_id)
    slug = quote(title.partition(" - ")[0].replace(" ", "-"))
    shown = html.escape(f"\N{BEAMED SIXTEENTH NOTES} {title}")
    href = f"https://www.tiktok.com/music/{slug}-{sound}?refer=embed"
    return f'<a target="_blank" title="{shown}" href="{href}">{shown}</a>'


OEMBED_DIALECT = make_dialect(_oembed_error, api.TABLE["oembed_errors"], lambda _: None)
