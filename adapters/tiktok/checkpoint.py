"""The checkpoint of an unfinished publish to TikTok, and which step comes next. Pure.

The state of a video's chunked upload: the last byte publishes the video, so every chunk but the last is sent by
``prepare`` and the last one by ``finalize`` (developers.tiktok.com/doc/content-posting-api-media-transfer-guide).
The account's current settings: TikTok requires reading them "immediately before" a post, since the account's owner can
change them at any time (.../content-posting-api-reference-query-creator-info). Both pages read 2026-11-24.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, StrEnum

from pydantic import Field

from adapters.base import BaseCheckpoint
from adapters.contract import Draft
from adapters.errors import Rejected, Unavailable
from adapters.tiktok import limits
from adapters.tiktok.errors import AUDIT
from adapters.tiktok.wire import PostingSettings

EXPIRES_EARLY, EXPIRES_LATE = 120.0, 300.0
"""Margins around the upload URL's expiry, in seconds: before it no new chunk starts, after it the URL is dead."""
FINISH_MARGIN = 60.0
"""Seconds that the URL has to live for its last chunk to be sent."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UploadPlan:
    """How a file is split: ``chunks`` of ``chunk_size`` bytes; the last one includes the remainder."""

    size: int
    chunk_size: int
    chunks: int

    @classmethod
    def for_size(cls, size: int) -> UploadPlan:
        """Split into even chunks of about 10 MB, so that the last one, sent at the due time, is not larger."""
        chunks = max(size // limits.CHUNK_WANTED, 2 if size >= 2 * limits.CHUNK_LEAST else 1)
        return cls(size=size, chunk_size=size // chunks, chunks=chunks)

    @classmethod
    def list_legal(cls, size: int) -> tuple[UploadPlan, ...]:
        """Return every plan to try for a file, the preferred one first: even chunks, then the sizes of CHUNK_SIZES."""
        plans = [cls.for_size(size)]
        for chunk_size in limits.CHUNK_SIZES:
            chunks = max(size // chunk_size, 1) if chunk_size else 1
            plan = cls(size=size, chunk_size=chunk_size if chunks > 1 else size, chunks=chunks)
            if plan.is_legal and plan not in plans:
                plans.append(plan)
        return tuple(plans)

    @property
    def is_legal(self) -> bool:
        """True if the plan keeps TikTok's rules; one chunk holds at most CHUNK_MOST bytes."""
        if self.chunks == 1:
            return self.size <= limits.CHUNK_MOST
        return (
            limits.CHUNK_LEAST <= self.chunk_size <= limits.CHUNK_MOST
            and self.chunks <= limits.CHUNKS_MOST
            and self.last_length <= limits.CHUNK_LAST_MOST
        )

    @property
    def last_length(self) -> int:
        """Bytes of the last chunk."""
        return self.size - (self.chunks - 1) * self.chunk_size

    @property
    def call_time(self) -> timedelta:
        """The time that the call with the last chunk, the visible one, may need."""
        return timedelta(seconds=10 + self.last_length / limits.UPLOAD_FLOOR)

    def fits_call(self, limit: timedelta) -> bool:
        """Return True if the last chunk is small, or its call fits the time that a visible call may take."""
        return self.last_length <= limits.CHUNK_SMALL or self.call_time <= limit

    @property
    def form(self) -> str:
        """The key by which the refusal of a plan is remembered, for files of any size."""
        if self == UploadPlan.for_size(self.size) and self.chunks > 1:
            return "even"
        return "one" if self.chunks == 1 else str(self.chunk_size)

    def get_end(self, index: int) -> int:
        """Return the offset right after chunk *index*."""
        return self.size if index >= self.chunks - 1 else (index + 1) * self.chunk_size


class UrlState(Enum):
    """The state of the upload URL: whether it still accepts bytes."""

    ALIVE = "alive"
    EXPIRING = "expiring"
    DEAD = "dead"


class Upload(BaseCheckpoint):
    """A started upload, as the checkpoint stores it. The URL contains a token and is not in the repr."""

    publish_id: str
    upload_url: str = Field(repr=False)
    url_expires_at: float
    """Seconds since the epoch, counted from before the call that created it: TikTok's own expiry is never earlier."""
    plan: UploadPlan
    offset: int = 0
    """The first byte that TikTok does not have."""
    was_armed: bool = False
    """The last chunk may have been sent once: the upload is not abandoned before its URL is surely dead."""
    recheck: bool = False
    """TikTok's progress differs from ours: it is read before the next byte is sent."""

    @classmethod
    def start(cls, publish_id: str, upload_url: str, plan: UploadPlan, requested_at: float) -> Upload:
        """Return a new upload; *requested_at* is the time right before the call that created it."""
        end = requested_at + limits.UPLOAD_URL_LIFE.total_seconds()
        return cls(publish_id=publish_id, upload_url=upload_url, url_expires_at=end, plan=plan)

    def get_url_state(self, now: float) -> UrlState:
        """Return whether the URL still accepts bytes, with a margin on both sides of its expiry."""
        if now < self.url_expires_at - EXPIRES_EARLY:
            return UrlState.ALIVE
        return UrlState.EXPIRING if now <= self.url_expires_at + EXPIRES_LATE else UrlState.DEAD

    def must_wait(self, now: float) -> bool:
        """Return True if the upload may neither continue nor be abandoned: armed once, its URL about to expire."""
        return self.was_armed and self.get_url_state(now) is UrlState.EXPIRING

    def time_until_dead(self, now: float) -> timedelta:
        """Return the time until the URL is surely dead."""
        return timedelta(seconds=max(1.0, self.url_expires_at + EXPIRES_LATE - now + 1))

    def can_finish(self, now: float) -> bool:
        """Return True if the URL lives long enough for the last chunk."""
        return now < self.url_expires_at - FINISH_MARGIN

    @property
    def last_chunk_start(self) -> int:
        """The offset of the last chunk."""
        return self.plan.get_end(self.plan.chunks - 2) if self.plan.chunks > 1 else 0

    @property
    def is_last_chunk(self) -> bool:
        """True if, as far as known, TikTok has every chunk but the last."""
        return self.offset >= self.last_chunk_start and not self.recheck

    def get_next_range(self) -> tuple[int, int]:
        """Return first byte and end of the next chunk; of a complete upload the last chunk again."""
        first = self.offset if self.offset < self.plan.size else self.last_chunk_start
        return first, self.plan.get_end(first // self.plan.chunk_size)


FRESH = 600.0
"""Seconds after which the settings are read again before the visible call."""


class AllowedSettings(BaseCheckpoint):
    """Allowed privacy levels, switched-off features, and the longest video in seconds. ``asked_at``: Unix time."""

    asked_at: float
    privacy: tuple[str, ...]
    comment_disabled: bool
    duet_disabled: bool
    stitch_disabled: bool
    longest: int | None
    username: str | None = None

    @classmethod
    def from_wire(cls, settings: PostingSettings, now: float) -> AllowedSettings:
        """Return the settings that TikTok reported at *now*."""
        return cls(
            asked_at=now,
            privacy=settings.privacy_level_options,
            comment_disabled=settings.comment_disabled,
            duet_disabled=settings.duet_disabled,
            stitch_disabled=settings.stitch_disabled,
            longest=settings.max_video_post_duration_sec,
            username=settings.creator_username,
        )

    def is_fresh(self, now: float) -> bool:
        """Return True if the settings need not be read again."""
        return now - self.asked_at < FRESH

    def check(self, draft: Draft, privacy: str, *, audited: bool = True) -> None:
        """Raise Rejected if the account does not allow the draft.

        An app that is not audited may post to private accounts only, which have no PUBLIC_TO_EVERYONE.
        """
        if not audited and "PUBLIC_TO_EVERYONE" in self.privacy:
            raise Rejected(
                "TikTok has not audited this server's app yet: it may post to private accounts only, and this "
                "account is public.",
                code="app_unaudited",
                next_action=f"Set the account to private in the TikTok app; or ask the operator: {AUDIT}",
            )
        if self.privacy and privacy not in self.privacy:
            raise Rejected(
                f"This account may post as {', '.join(self.privacy)}; the post asks for {privacy}.",
                code="privacy_not_allowed",
                next_action="Choose a privacy_level the account allows.",
            )
        facts = draft.media[0].facts if draft.kind == "video" else None
        seconds = facts.duration if facts is not None else None
        if seconds is not None and self.longest and seconds > self.longest:
            raise Rejected(
                f"This account may post videos of at most {self.longest} s; this one has {seconds:g} s.",
                code="media_duration",
                next_action="Send a shorter video.",
            )


MAX_DETOURS = 20
"""Restarts and status reads of one upload before the try counts as failed."""


class Step(StrEnum):
    """The next action of ``prepare``: one request, or none (WAIT, READY)."""

    WAIT = "wait until the upload URL is surely dead"
    STATUS = "read how far the upload is"
    SETTINGS = "read the account's settings"
    START = "start the upload"
    SEND = "send the next chunk"
    CHART = "look for the sound in the next chart"
    READY = "only the visible call is left"


class ChosenSound(BaseCheckpoint):
    """The sound that a post will use."""

    id: str
    charted: bool
    """A chart of the commercial library lists it."""


class Checkpoint(BaseCheckpoint):
    """The state of an unfinished publish; an empty checkpoint is the start."""

    allowed: AllowedSettings | None = None
    upload: Upload | None = None
    """Creator videos only."""
    publish_id: str | None = None
    """Set by the response to the visible call, for photos and for business accounts."""
    music: ChosenSound | None = None
    charts: tuple[str, ...] = ()
    """Windows of the charts that were read already."""
    refused_forms: tuple[str, ...] = ()
    """Forms of chunk plans that TikTok refused for this video at init."""
    detours: int = 0

    def drop_dead_upload(self, now: float) -> Checkpoint:
        """Return a copy without the upload if its URL no longer accepts bytes and it need not be waited for."""
        if (
            self.upload is None
            or self.upload.get_url_state(now) is UrlState.ALIVE
            or self.upload.must_wait(now)
        ):
            return self
        return self.replace(upload=None)

    def count_detour(self) -> Checkpoint:
        """Return a copy with one more detour. Raise Unavailable after too many."""
        if self.detours >= MAX_DETOURS:
            raise Unavailable("The upload has restarted too often without progress.", code="upload_stuck")
        return self.replace(detours=self.detours + 1)


def is_draft(draft: Draft) -> bool:
    """Return True if the post goes to the account's inbox, where a user finishes it in the app."""
    return draft.options.get("post_mode") == "MEDIA_UPLOAD" or draft.options.get("deliver_as") == "inbox"


def choose_creator_step(draft: Draft, state: Checkpoint, now: float) -> Step:
    """Return the next step for a creator account's post; the inbox draft of a video needs no settings."""
    if draft.kind != "video":
        is_fresh = state.allowed is not None and state.allowed.is_fresh(now)
        return Step.READY if is_fresh else Step.SETTINGS
    upload = state.upload
    if upload is not None and upload.must_wait(now):
        return Step.WAIT
    if upload is not None and upload.recheck:
        return Step.STATUS
    if not is_draft(draft) and _needs_settings(state, now):
        return Step.SETTINGS
    if upload is None:
        return Step.START
    return Step.READY if upload.is_last_chunk else Step.SEND


def _needs_settings(state: Checkpoint, now: float) -> bool:
    is_at_an_end = state.upload is None or state.upload.is_last_chunk
    return state.allowed is None or (is_at_an_end and not state.allowed.is_fresh(now))


def choose_business_step(draft: Draft, state: Checkpoint, now: float) -> Step:
    """Return the next step for a business account."""
    if is_draft(draft):
        return Step.READY
    if state.allowed is None or not state.allowed.is_fresh(now):
        return Step.SETTINGS
    return Step.READY if is_music_decided(draft, state) else Step.CHART


def is_music_decided(draft: Draft, state: Checkpoint) -> bool:
    """Return True if the draft asks for no sound, or the sound to attach is chosen."""
    return draft.music_url is None or state.music is not None
