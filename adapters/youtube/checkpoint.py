"""The checkpoint of an unfinished upload to YouTube, and which step comes next. Pure."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Any

from adapters.base import BaseCheckpoint
from adapters.contract import Ready
from adapters.youtube.limits import CHUNK, FRESH


class Step(StrEnum):
    """One request of ``prepare``; READY makes none."""

    START = "start an upload session"
    PROBE = "ask the session how many bytes it has"
    SEND = "send the next chunk"
    READY = "only the last chunk is left"


class RedactedDict(dict[str, Any]):
    """A dict whose repr shows keys only: the session's URI grants access like a token."""

    def __repr__(self) -> str:
        return f"RedactedDict({', '.join(self)})"

    __str__ = __repr__


class Checkpoint(BaseCheckpoint):
    """The state of an unfinished publish; an empty checkpoint is the start."""

    session: str | None = None
    """The session's URI. A secret: with it, bytes can be uploaded."""
    size: int = 0
    content_type: str = ""
    started_at: float = 0
    """Seconds since the epoch, read before the session was requested."""
    offset: int = 0
    """The first byte that YouTube does not have, as it reported at ``said_at``."""
    said_at: float = 0
    unsure: bool = False
    """The outcome of a chunk is unknown: the session is probed before the next byte."""
    video_id: str | None = None
    """Set only when YouTube reports the upload as complete: the video exists under this id."""
    cuts: int = 0
    """Requests in a row that stored no new byte."""
    restarts: int = 0

    def __repr__(self) -> str:
        return f"Checkpoint({self.offset} of {self.size})"

    __str__ = __repr__

    def to_dict(self) -> RedactedDict:
        """Return the JSON-able fields that differ from their defaults, with a repr that hides them."""
        return RedactedDict(super().to_dict())

    def record_offset(self, session: str, offset: int, now: float) -> Checkpoint:
        """Return a copy with the offset that YouTube reported; only a larger one resets ``cuts``."""
        cuts = 0 if offset > self.offset else self.cuts
        return self.replace(session=session, offset=offset, said_at=now, unsure=False, cuts=cuts)

    def to_ready(self) -> Ready:
        """Return the result of a finished ``prepare``; the last chunk is left to send, unless a video exists."""
        left = None if self.video_id is not None else (self.offset, self.size - self.offset)
        return Ready(checkpoint=self.to_dict(), sends=left)

    @property
    def is_last_chunk(self) -> bool:
        """True if the missing bytes fit into one chunk."""
        return 0 < self.size - self.offset <= CHUNK


def choose_next_step(state: Checkpoint, now: float) -> Step:
    """Return what ``prepare`` does next. An old offset is probed again: a chunk may have been cut since."""
    if state.video_id is not None:
        return Step.READY
    if state.session is None:
        return Step.START
    is_fresh = 0 <= now - state.said_at <= FRESH / timedelta(seconds=1)
    if state.unsure or not is_fresh or state.offset >= state.size:
        return Step.PROBE
    return Step.READY if state.is_last_chunk else Step.SEND
