"""Publishing for accounts connected through TikTok for Business: the Accounts API v1.3.

TikTok fetches all media itself, and the publish call is the visible step, for drafts too: only its response has the
``share_id``. A chosen sound can be attached if one of TikTok's commercial charts lists it. Never tried against TikTok
itself: README.md.

Find out which sounds a business account may attach, by TikTok's commercial charts, which are cached.

The charts are the only catalogue of the Accounts API: at most 100 tracks each, no search, no look-up by id
(business-api.tiktok.com/portal/docs, discovery/cml/trending_list, through a transcription of 2026-07-24). So a charted
sound can be attached; whether another one can is unknown.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

from adapters.contract import (
    Account,
    CheckpointData,
    Draft,
    FinalizeResult,
    PrepareResult,
    Ready,
    Track,
)
from adapters.errors import AdapterError, OutcomeUnknown, Rejected, Unavailable
from adapters.tiktok import music, payload
from adapters.tiktok.checkpoint import (
    AllowedSettings,
    Checkpoint,
    ChosenSound,
    Step,
    choose_business_step,
    is_draft,
    is_music_decided,
)
from adapters.tiktok.client import BusinessClient
from adapters.tiktok.errors import BAD_SOUND, Refusals
from adapters.tiktok.limits import CAPABILITIES
from adapters.tiktok.lookup import look_unarmed_business
from adapters.tiktok.oauth import BusinessOAuth
from adapters.tiktok.wire import ChartTrack

WINDOWS = ("7DAY", "30DAY", "90DAY", "1DAY")
"""The date ranges of the charts, in the order they are read: one per step, until the sound is found."""
CHART_LIFE = 6 * 3600.0
"""Seconds that a chart is cached."""


Chart = tuple[str, str, str]
"""The key of one chart: host, country and date range."""


def find_charted_sound(track: Track, clips: Iterable[ChartTrack]) -> str | None:
    """Return the id to send for this sound, or None if no clip has it.

    The trending clip is preferred to the full one, even if the full one was linked: it is the same track, and viewers
    reported posts with the full clip as "not available in your country".
    """
    for clip in clips:
        if track.sound_id in (clip.trending, clip.full):
            return clip.trending or clip.full
    return None


def find_namesake(track: Track, clips: Iterable[ChartTrack]) -> ChartTrack | None:
    """Return a charted track of the same title and artist under another id: a suggestion, never a replacement."""
    expected = (track.title.casefold(), track.artist.casefold())
    return next(
        (c for c in clips if (c.title.casefold(), c.artist.casefold()) == expected and all(expected)), None
    )


class ChartCache:
    """A cache of charts in this process; losing it costs requests only."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._charts: dict[Chart, tuple[float, tuple[ChartTrack, ...]]] = {}

    def get_chart(self, chart: Chart) -> tuple[ChartTrack, ...] | None:
        """Return the tracks of a chart read within six hours, else None."""
        with self._lock:
            until, clips = self._charts.get(chart, (0.0, ()))
            return clips if time.monotonic() < until else None

    def store_chart(self, chart: Chart, clips: tuple[ChartTrack, ...]) -> None:
        """Store a chart that was just read."""
        with self._lock:
            self._charts[chart] = (time.monotonic() + CHART_LIFE, clips)

    def list_clips(self, host: str, country: str) -> tuple[ChartTrack, ...]:
        """Return every track of a country's cached charts."""
        found = (self.get_chart((host, country, window)) for window in WINDOWS)
        return tuple(clip for clips in found if clips for clip in clips)


CHART_CACHE = ChartCache()
REFUSED_SOUNDS = Refusals()
"""Uncharted sounds that TikTok refused, by host."""


DROP_SOUND = "Choose a commercial sound or drop music_url."


class BusinessAdapter(BusinessOAuth):
    """The publishing half of the adapter for accounts of the Accounts API. Its host ``www`` serves oEmbed."""

    def prepare(self, draft: Draft, account: Account, checkpoint: CheckpointData) -> PrepareResult:
        """Do the next invisible step: read the account's settings, then chart by chart if a sound was chosen."""
        now, state = time.time(), Checkpoint.model_validate(checkpoint)
        step = choose_business_step(draft, state, now)
        if step is Step.SETTINGS:
            allowed = AllowedSettings.from_wire(self._build_client(account).get_settings(), now)
            allowed.check(draft, payload.get_privacy_level(draft))
            state = state.replace(allowed=allowed)
            is_decided = is_music_decided(draft, state)
            return state.to_ready() if is_decided else state.to_pending()
        if step is Step.READY:
            return Ready(checkpoint=checkpoint)
        if draft.track is None:
            raise Unavailable("The sound behind music_url is not resolved yet.", code="music_unresolved")
        return self._choose_sound(draft.track, account, state)

    def finalize(self, draft: Draft, account: Account, checkpoint: CheckpointData) -> FinalizeResult:
        """Make the visible call: ``video/publish`` or ``photo/publish``."""
        state, to_inbox = Checkpoint.model_validate(checkpoint), is_draft(draft)
        allowed, sound = (None, None) if to_inbox else (state.allowed, state.music)
        if not to_inbox and (allowed is None or not is_music_decided(draft, state)):
            raise Unavailable("The account's settings or the sound are not known yet.", code="not_prepared")
        sound_id = sound.id if sound is not None else None
        if draft.kind == "video":
            kind, body = "video", payload.build_business_video(draft, account.remote_id, allowed, sound_id)
        else:
            kind, body = "photo", payload.build_business_photo(draft, account.remote_id, allowed, sound_id)
        try:
            shared = self._build_client(account).publish(kind, body)
        except OutcomeUnknown as unknown:
            raise self._translate_sound_refusal(unknown, sound) from None
        done = state.replace(publish_id=shared.share_id)
        return done.to_pending(CAPABILITIES.look_every[0])

    look_unarmed = staticmethod(look_unarmed_business)

    def _build_client(self, account: Account) -> BusinessClient:
        return self.build_client(account.credentials, account.remote_id)

    # --- the sound ---------------------------------------------------------------------------------------------------

    def _choose_sound(self, track: Track, account: Account, state: Checkpoint) -> PrepareResult:
        """Look for the sound in the charts, at most one request a call; the checkpoint records which were read."""
        host, country = self._settings.hosts["business"], _get_country(account)
        if sound_id := find_charted_sound(track, CHART_CACHE.list_clips(host, country)):
            return _attach(state, sound_id, is_charted=True)
        for window in WINDOWS:
            chart = (host, country, window)
            if window in state.charts or CHART_CACHE.get_chart(chart) is not None:
                continue
            page = self._build_client(account).list_chart(country, window)
            clips = tuple(track for track in page.list if track.trending or track.full)
            CHART_CACHE.store_chart(chart, clips)
            if sound_id := find_charted_sound(track, clips):
                return _attach(state, sound_id, is_charted=True)
            return state.replace(charts=(*state.charts, window)).to_pending()
        tries_unproven = self._settings.options.get("unproven_music", "refuse") == "try"
        if tries_unproven and not REFUSED_SOUNDS.contains(host, track.sound_id):
            return _attach(state, track.sound_id, is_charted=False)
        raise self._build_unproven_error(track, country)

    def _build_unproven_error(self, track: Track, country: str) -> Rejected:
        other = find_namesake(track, CHART_CACHE.list_clips(self._settings.hosts["business"], country))
        hint = ""
        if other is not None and (sound_id := other.trending or other.full):
            hint = f" A commercial sound of the same name and artist: {music.build_sound_link(sound_id)}"
        return Rejected(
            f"The sound {track.title!r} is in none of TikTok's commercial charts for {country}; "
            "TikTok offers no look-up, so we did not send it.",
            code="music_not_attachable",
            next_action=DROP_SOUND + hint,
        )

    def _translate_sound_refusal(self, unknown: OutcomeUnknown, sound: ChosenSound | None) -> AdapterError:
        """Return Rejected for 51065 with an uncharted sound: it means the sound; otherwise it is a system error."""
        if unknown.platform_code != str(BAD_SOUND) or sound is None or sound.charted:
            return unknown
        REFUSED_SOUNDS.add(self._settings.hosts["business"], sound.id)
        return Rejected(
            f"TikTok refused the sound {sound.id}; nothing was published.",
            code="music_not_attachable",
            next_action=DROP_SOUND,
            **unknown.reported,
        )


def _get_country(account: Account) -> str:
    return str(account.settings.get("country") or "US")


def _attach(state: Checkpoint, sound_id: str, *, is_charted: bool) -> Ready:
    return state.replace(music=ChosenSound(id=sound_id, charted=is_charted)).to_ready()
