"""The state of a video's chunked upload: its chunks, its URL's lifetime, and what is sent next. Pure.

The last byte publishes the video, so every chunk but the last is sent by ``prepare`` and the last one by ``finalize``.
Source: developers.tiktok.com/doc/content-posting-api-media-transfer-guide, read 2026-11-24.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

from pydantic import Field

from adapters.checkpoint import BaseCheckpoint
from adapters.tiktok.limits import (
    CHUNK_LAST_MOST,
    CHUNK_LEAST,
    CHUNK_MOST,
    CHUNK_SIZES,
    CHUNK_SMALL,
    CHUNK_WANTED,
    CHUNKS_MOST,
    UPLOAD_FLOOR,
    UPLOAD_URL_LIFE,
)

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
        chunks = max(size // CHUNK_WANTED, 2 if size >= 2 * CHUNK_LEAST else 1)
        return cls(size=size, chunk_size=size // chunks, chunks=chunks)

    @classmethod
    def list_legal(cls, size: int) -> tuple[UploadPlan, ...]:
        """Return every plan to try for a file, the preferred one first: even chunks, then the sizes of CHUNK_SIZES."""
        plans = [cls.for_size(size)]
        for chunk_size in CHUNK_SIZES:
            chunks = max(size // chunk_size, 1) if chunk_size else 1
            plan = cls(size=size, chunk_size=chunk_size if chunks > 1 else size, chunks=chunks)
            if plan.is_legal and plan not in plans:
                plans.append(plan)
        return tuple(plans)

    @property
    def is_legal(self) -> bool:
        """True if the plan keeps TikTok's rules; one chunk holds at most CHUNK_MOST bytes."""
        if self.chunks == 1:
            return self.size <= CHUNK_MOST
        return (
            CHUNK_LEAST <= self.chunk_size <= CHUNK_MOST
            and self.chunks <= CHUNKS_MOST
            and self.last_length <= CHUNK_LAST_MOST
        )

    @property
    def last_length(self) -> int:
        """Bytes of the last chunk."""
        return self.size - (self.chunks - 1) * self.chunk_size

    @property
    def call_time(self) -> timedelta:
        """The time that the call with the last chunk, the visible one, may need."""
        return timedelta(seconds=10 + self.last_length / UPLOAD_FLOOR)

    def fits_call(self, limit: timedelta) -> bool:
        """Return True if the last chunk is small, or its call fits the time that a visible call may take."""
        return self.last_length <= CHUNK_SMALL or self.call_time <= limit

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
        end = requested_at + UPLOAD_URL_LIFE.total_seconds()
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
