"""Find out which sounds a business account may attach, by TikTok's commercial charts, which are cached.

The charts are the only catalogue of the Accounts API: at most 100 tracks each, no search, no look-up by id
(business-api.tiktok.com/portal/docs, discovery/cml/trending_list, through a transcription of 2026-07-24). So a charted
sound can be attached; whether another one can is unknown.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass

from adapters.contract import Track
from adapters.tiktok.wire import ChartPage

WINDOWS = ("7DAY", "30DAY", "90DAY", "1DAY")
"""The date ranges of the charts, in the order they are read: one per step, until the sound is found."""
CHART_LIFE = 6 * 3600.0
"""Seconds that a chart is cached."""
REFUSAL_LIFE = 24 * 3600.0
"""Seconds that the refusal of a sound is cached."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Clip:
    """One track of a chart, with the ids of the two clips that a post can use."""

    title: str
    artist: str
    trending: str | None
    full: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Chart:
    """The key of one chart: host, country and date range."""

    host: str
    country: str
    window: str


def parse_clips(page: ChartPage) -> tuple[Clip, ...]:
    """Return the tracks of a chart that can be attached: those with at least one clip."""
    clips = (
        Clip(
            title=track.commercial_music_name or "",
            artist=track.artist or "",
            trending=track.trending_song_clip.song_clip_id if track.trending_song_clip else None,
            full=track.full_duration_song_clip.song_clip_id if track.full_duration_song_clip else None,
        )
        for track in page.list
    )
    return tuple(clip for clip in clips if clip.trending or clip.full)


def find_charted_sound(track: Track, clips: Iterable[Clip]) -> str | None:
    """Return the id to send for this sound, or None if no clip has it.

    The trending clip is preferred to the full one, even if the full one was linked: it is the same track, and viewers
    reported posts with the full clip as "not available in your country".
    """
    for clip in clips:
        if track.sound_id in (clip.trending, clip.full):
            return clip.trending or clip.full
    return None


def find_namesake(track: Track, clips: Iterable[Clip]) -> Clip | None:
    """Return a charted track of the same title and artist under another id: a suggestion, never a replacement."""
    wanted = (track.title.casefold(), track.artist.casefold())
    return next(
        (c for c in clips if (c.title.casefold(), c.artist.casefold()) == wanted and all(wanted)), None
    )


class ChartCache:
    """A cache of charts and refused sounds in this process; losing it costs requests only."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._charts: dict[Chart, tuple[float, tuple[Clip, ...]]] = {}
        self._refused: dict[tuple[str, str], float] = {}

    def get_chart(self, chart: Chart) -> tuple[Clip, ...] | None:
        """Return the tracks of a chart read within six hours, else None."""
        with self._lock:
            until, clips = self._charts.get(chart, (0.0, ()))
            return clips if time.monotonic() < until else None

    def store_chart(self, chart: Chart, clips: tuple[Clip, ...]) -> None:
        """Store a chart that was just read."""
        with self._lock:
            self._charts[chart] = (time.monotonic() + CHART_LIFE, clips)

    def list_clips(self, host: str, country: str) -> tuple[Clip, ...]:
        """Return every track of a country's cached charts."""
        found = (self.get_chart(Chart(host=host, country=country, window=window)) for window in WINDOWS)
        return tuple(clip for clips in found if clips for clip in clips)

    def is_refused(self, host: str, sound_id: str) -> bool:
        """Return True if TikTok refused this uncharted sound within a day."""
        with self._lock:
            return time.monotonic() < self._refused.get((host, sound_id), 0.0)

    def store_refusal(self, host: str, sound_id: str) -> None:
        """Store a refusal that was just given."""
        with self._lock:
            now = time.monotonic()
            self._refused = {key: until for key, until in self._refused.items() if until > now}
            self._refused[host, sound_id] = now + REFUSAL_LIFE


CHART_CACHE = ChartCache()
