"""The commercial music charts of the sandbox, and the sound of each TikTok post.

A post whose id ends in 7 has the charted clip; every other post has a sound outside the charts.
"""

from dataclasses import dataclass

from aiohttp import web

from adapters.sandbox.endpoint import Call, Endpoint
from adapters.sandbox.store import Record
from adapters.sandbox.tiktok_business.dialect import DIALECT, PLATFORM, authenticate_owner, ok, refuse

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


TRACKS = (
    Track(commercial_id="7110000000000000001", name="Track", artist="Artist", trending=CHARTED_CLIP),
    Track(
        commercial_id="7110000000000000002",
        name="Two Clips",
        artist="Both - Sides",
        trending="7221171716369631240",
        full="7221171716369631241",
    ),
    Track(commercial_id="7110000000000000003", name="No Clip", artist="Nobody"),
    Track(
        commercial_id="7110000000000000004",
        name="Long Ago",
        artist="Quarter",
        trending="7221171716369631250",
        windows=("90DAY",),
    ),
    Track(
        commercial_id="7110000000000000005",
        name="Nur Hier",
        artist="Kapelle",
        trending="7221171716369631260",
        countries=("DE",),
    ),
)


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
    authenticate_owner(call, query.get("business_id"))
    window, country = query.get("date_range", "7DAY"), query.get("country_code", "US")
    if window not in WINDOWS:
        raise refuse(f"date_range: must be one of {', '.join(WINDOWS)}.")
    genre = query.get("genre", "ALL")
    charted = [
        track
        for track in TRACKS
        if window in track.windows
        and (track.countries is None or country in track.countries)
        and genre in ("ALL", track.genre)
    ]
    return ok({"list": [_track_to_dict(rank, track) for rank, track in enumerate(charted, 1)] or None})


async def list_videos(call: Call) -> web.Response:
    """GET /discovery/cml/video_list/: list posts that use a track."""
    query = call.request.query
    authenticate_owner(call, query.get("business_id"))
    if query.get("commercial_music_id") not in {track.commercial_id for track in TRACKS}:
        raise refuse("commercial_music_id: unknown.")
    top = [f"72123456789012345{tail}7" for tail in range(10, 12)]
    rows = [
        {
            "video_id": video,
            "share_url": f"https://www.tiktok.com/@scout2015/video/{video}",
            "embed_url": f"https://www.tiktok.com/embed/v2/{video}",
        }
        for video in top
    ]
    return ok({"top_video_list": rows})


TRENDING = Endpoint(platform=PLATFORM, step="resolve_music", handle=list_trending, dialect=DIALECT)
VIDEOS = Endpoint(platform=PLATFORM, step="resolve_music", handle=list_videos, dialect=DIALECT)
