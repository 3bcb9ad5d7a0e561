"""Which sounds a business account may attach: TikTok's commercial charts, kept for a while, and the verdict.

The charts are the only catalogue the Accounts API shows: at most 100 tracks each, no search, no look-up by id
(business-api.tiktok.com/portal/docs, discovery/cml/trending_list, through a transcription of 2026-07-24). So a sound
that is charted can be attached; of one that is not, nothing is known.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass

from adapters.contract import Track
from adapters.tiktok.wire import ChartPage

WINDOWS = ("7DAY", "30DAY", "90DAY", "1DAY")
"""The charts' date ranges, the fullest first; read one a step until the sound is found."""
CHART_LIFE = 6 * 3600.0
REFUSAL_LIFE = 24 * 3600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Clip:
    """One track of a chart with the two cuts a post can carry."""

    title: str
    artist: str
    trending: str | None
    full: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Chart:
    """Names one chart: where it was read, whose country, over which window."""

    host: str
    country: str
    window: str


def clips_of(page: ChartPage) -> tuple[Clip, ...]:
    """The tracks of a chart that can be attached at all: those with at least one cut."""
    cuts = (
        Clip(
            title=track.commercial_music_name or "",
            artist=track.artist or "",
            trending=track.trending_song_clip.song_clip_id if track.trending_song_clip else None,
            full=track.full_duration_song_clip.song_clip_id if track.full_duration_song_clip else None,
        )
        for track in page.list
    )
    return tuple(clip for clip in cuts if clip.trending or clip.full)


def charted(track: Track, clips: Iterable[Clip]) -> str | None:
    """The id to send for this sound, where a chart has it.

    The trending cut goes before the full one, also when the full one was linked: it is the same track, and posts with
    the full cut were reported "not available in your country" by viewers.
    """
    for clip in clips:
        if track.sound_id in (clip.trending, clip.full):
            return clip.trending or clip.full
    return None


def namesake(track: Track, clips: Iterable[Clip]) -> Clip | None:
    """A charted track of the same title and artist under another id: to be offered, never swapped in."""
    wanted = (track.title.casefold(), track.artist.casefold())
    return next(
        (c for c in clips if (c.title.casefold(), c.artist.casefold()) == wanted and all(wanted)), None
    )


class Memory:
    """What this process remembers of charts and refused sounds. A cache: losing it costs requests, nothing else."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._charts: dict[Chart, tuple[float, tuple[Clip, ...]]] = {}
        self._refused: dict[tuple[str, str], float] = {}

    def chart(self, chart: Chart) -> tuple[Clip, ...] | None:
        """The chart, if it was read within six hours."""
        with self._lock:
            until, clips = self._charts.get(chart, (0.0, ()))
            return clips if time.monotonic() < until else None

    def keep_chart(self, chart: Chart, clips: tuple[Clip, ...]) -> None:
        """Remember a chart just read."""
        with self._lock:
            self._charts[chart] = (time.monotonic() + CHART_LIFE, clips)

    def known(self, host: str, country: str) -> tuple[Clip, ...]:
        """Every track of the charts of a country that are remembered."""
        found = (self.chart(Chart(host=host, country=country, window=window)) for window in WINDOWS)
        return tuple(clip for clips in found if clips for clip in clips)

    def was_refused(self, host: str, sound_id: str) -> bool:
        """Whether TikTok refused this uncharted sound within a day."""
        with self._lock:
            return time.monotonic() < self._refused.get((host, sound_id), 0.0)

    def keep_refusal(self, host: str, sound_id: str) -> None:
        """Remember a refusal just given."""
        with self._lock:
            now = time.monotonic()
            self._refused = {key: until for key, until in self._refused.items() if until > now}
            self._refused[host, sound_id] = now + REFUSAL_LIFE


MEMORY = Memory()
