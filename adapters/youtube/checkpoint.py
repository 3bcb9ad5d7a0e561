"""How far a publish has come: the checkpoint's fields, and the one decision what comes next. Pure."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from adapters.youtube.limits import CHUNK, FRESH


class Todo(StrEnum):
    """One request of ``prepare``; READY is none."""

    START = "start an upload session"
    PROBE = "ask how far the session is"
    SEND = "send the next chunk"
    READY = "only the last chunk is left"


class Kept(dict[str, Any]):
    """A checkpoint whose repr shows no values: the session's URI is as good as a token."""

    def __repr__(self) -> str:
        return f"Kept({', '.join(self)})"

    __str__ = __repr__


class Progress(BaseModel):
    """What is known of an unfinished publish; an empty checkpoint is the beginning."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    session: str | None = None
    """The session's URI. A secret: whoever has it may be able to upload."""
    size: int = 0
    content_type: str = ""
    started_at: float = 0
    """Seconds since the epoch, read before the session was asked for."""
    offset: int = 0
    """The first byte YouTube does not have, as it said at ``said_at``."""
    said_at: float = 0
    unsure: bool = False
    """A chunk's fate is unknown: the session is asked before the next byte."""
    video_id: str | None = None
    """Set by YouTube's own "complete" alone: the video exists under it."""
    cuts: int = 0
    restarts: int = 0

    def __repr__(self) -> str:
        return f"Progress({self.offset} of {self.size})"

    __str__ = __repr__

    def replace(self, **changed: Any) -> Progress:
        """The same with some fields changed."""
        return self.model_copy(update=changed)

    def to_dict(self) -> Kept:
        """As JSON-able facts, without what is still as at the beginning."""
        return Kept(self.model_dump(mode="json", exclude_defaults=True))

    def stored(self, session: str, offset: int, now: float) -> Progress:
        """YouTube said how much it has. ``cuts`` is forgiven by progress only."""
        cuts = 0 if offset > self.offset else self.cuts
        return self.replace(session=session, offset=offset, said_at=now, unsure=False, cuts=cuts)

    @property
    def only_last_left(self) -> bool:
        """Whether what is left fits into one chunk."""
        return 0 < self.size - self.offset <= CHUNK

    def todo(self, now: float) -> Todo:
        """What ``prepare`` does next. An old word of YouTube's is asked for again: its chunk may have been cut."""
        if self.video_id is not None:
            return Todo.READY
        if self.session is None:
            return Todo.START
        fresh = 0 <= now - self.said_at <= FRESH / timedelta(seconds=1)
        if self.unsure or not fresh or self.offset >= self.size:
            return Todo.PROBE
        return Todo.READY if self.only_last_left else Todo.SEND
