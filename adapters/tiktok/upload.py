"""The byte upload of a video: how it is cut, what is kept of it, and one chunk on its way.

The publish is done by the last byte, so everything but the last chunk is ``prepare`` and the last chunk is
``finalize``. Source: developers.tiktok.com/doc/content-posting-api-media-transfer-guide, read 2026-11-24.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import timedelta
from enum import Enum
from typing import Any

from adapters.contract import CheckpointData, Draft
from adapters.tiktok.limits import CHUNK_LEAST, CHUNK_WANTED, UPLOAD_URL_LIFE
from adapters.transport import Request
from adapters.upload_source import open_body

BEFORE, AFTER = 120.0, 300.0
"""Seconds before the upload URL's end when nothing new is begun on it, and after it when it is surely dead."""
AT_LEAST = 60.0
"""Seconds the URL has to live for its last chunk to be sent."""
CHUNK_TIME = timedelta(seconds=60)


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """How a file is cut: ``chunks`` of ``chunk_size`` bytes, the last one takes the remainder."""

    size: int
    chunk_size: int
    chunks: int

    @classmethod
    def of(cls, size: int) -> Plan:
        """Even chunks of about 10 MB, so that the last one, sent at the due time, is no larger than the others."""
        chunks = max(size // CHUNK_WANTED, 2 if size >= 2 * CHUNK_LEAST else 1)
        return cls(size=size, chunk_size=size // chunks, chunks=chunks)

    def end(self, index: int) -> int:
        """The offset right after chunk ``index``."""
        return self.size if index >= self.chunks - 1 else (index + 1) * self.chunk_size


class Life(Enum):
    """Whether the upload URL can still take bytes."""

    ALIVE = "alive"
    DYING = "dying"
    DEAD = "dead"


@dataclass(frozen=True, kw_only=True, slots=True)
class Handle:
    """One started upload, as the checkpoint keeps it. The URL carries a token, so it is out of the repr."""

    publish_id: str
    upload_url: str = field(repr=False)
    url_expires_at: float
    """Seconds since the epoch, counted from before the call that made it: TikTok's own end is never earlier."""
    plan: Plan
    offset: int = 0
    """The first byte TikTok does not have yet."""
    was_armed: bool = False
    """Its last chunk may have left once: it is never given up before its URL is surely dead."""
    recheck: bool = False
    """TikTok's progress is not what we believed; it is asked for before the next byte."""

    @classmethod
    def read(cls, checkpoint: CheckpointData) -> Handle | None:
        """The upload an earlier step started, if it did."""
        kept = checkpoint.get("upload")
        return None if kept is None else cls(**{**kept, "plan": Plan(**kept["plan"])})

    @classmethod
    def begun(cls, publish_id: str, upload_url: str, plan: Plan, asked_at: float) -> Handle:
        """A new upload; ``asked_at`` was read before its call."""
        end = asked_at + UPLOAD_URL_LIFE.total_seconds()
        return cls(publish_id=publish_id, upload_url=upload_url, url_expires_at=end, plan=plan)

    def kept(self) -> dict[str, Any]:
        """The same as JSON-able facts for the checkpoint."""
        return asdict(self)

    def life(self, now: float) -> Life:
        """Whether the upload URL can still take bytes, with a margin on both sides."""
        if now < self.url_expires_at - BEFORE:
            return Life.ALIVE
        return Life.DYING if now <= self.url_expires_at + AFTER else Life.DEAD

    def time_to_death(self, now: float) -> timedelta:
        """How long until the URL is surely dead."""
        return timedelta(seconds=max(1.0, self.url_expires_at + AFTER - now + 1))

    def can_finish(self, now: float) -> bool:
        """Whether the URL lives long enough for the last chunk."""
        return now < self.url_expires_at - AT_LEAST

    @property
    def last_first(self) -> int:
        """Where the last chunk begins."""
        return self.plan.end(self.plan.chunks - 2) if self.plan.chunks > 1 else 0

    @property
    def only_last_left(self) -> bool:
        """Whether every chunk but the last is there, as far as we know."""
        return self.offset >= self.last_first and not self.recheck

    def span(self) -> tuple[int, int]:
        """First byte and end of what is to be sent next; of a complete upload the last chunk again."""
        first = self.offset if self.offset < self.plan.size else self.last_first
        return first, self.plan.end(first // self.plan.chunk_size)


def put(draft: Draft, handle: Handle) -> Request:
    """The request for the next chunk, its source already open.

    Raises what the source raises: Unavailable when it does not answer, Rejected when the file has changed.
    """
    media = draft.media[0]
    first, end = handle.span()
    return Request(
        method="PUT",
        url=handle.upload_url,
        headers={
            "Content-Type": media.facts.content_type if media.facts else "video/mp4",
            "Content-Range": f"bytes {first}-{end - 1}/{handle.plan.size}",
        },
        body=open_body(media, first, end - first),
        limit=CHUNK_TIME,
    )
