"""The checkpoint of an unfinished publish to LinkedIn, and which step comes next. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import Field

from adapters.base import BaseCheckpoint, PolledCheckpoint
from adapters.contract import Draft
from adapters.linkedin import limits
from adapters.linkedin.wire import Part


class Step(StrEnum):
    """One request of ``prepare``; DONE makes none."""

    START = "request an upload address"
    SEND = "send an image or a document, or one part of a video"
    COVER = "send a video's thumbnail"
    CLOSE = "complete a video's upload"
    POLL = "read a file's status"
    DONE = "nothing is left to prepare"


class FileUpload(BaseCheckpoint):
    """The upload of one file of the post; without a URN it has not started."""

    urn: str = ""
    """The file's URN; only our post has it, so it proves which post is ours."""
    url: str = Field(default="", repr=False)
    parts: tuple[Part, ...] = ()
    """The remaining parts of a video."""
    cover_url: str = Field(default="", repr=False)
    """The upload address of a video's thumbnail, until it is sent."""
    part_ids: tuple[str, ...] = ()
    """The ETags of the parts that were sent, in order."""
    token: str = Field(default="", repr=False)
    ends: int | None = None
    """When the upload address expires, in milliseconds since the epoch."""
    sent: bool = False
    closed: bool = False
    doubtful: bool = False
    """True if closing was refused: an earlier call whose response was lost may have closed it."""
    available: bool = False

    def is_stale(self, now: datetime) -> bool:
        """Return True if the upload address has expired or is about to."""
        return self.ends is not None and (now + limits.URL_MARGIN).timestamp() * 1000 >= self.ends


class Checkpoint(PolledCheckpoint):
    """The facts of an unfinished publish; an empty checkpoint is the beginning."""

    media: tuple[FileUpload, ...] = ()
    unreadable: bool = False
    """True if the token may not read the status of media: the post is then created at once."""
    armed_before: bool = False
    """An earlier attempt of this delivery was armed, and an operator decided to publish again with the same files."""
    duplicate: str = ""
    """The URN of the live post that LinkedIn says this one duplicates."""

    def get_file(self, index: int) -> FileUpload:
        """Return the upload of one file; a file that has not started is empty."""
        return self.media[index] if index < len(self.media) else FileUpload()

    def replace_file(self, index: int, file: FileUpload) -> Checkpoint:
        """Return a copy with one file replaced."""
        media = [*self.media, *(FileUpload() for _ in range(index + 1 - len(self.media)))]
        media[index] = file
        return self.replace(media=tuple(media))

    @property
    def urns(self) -> tuple[str, ...]:
        """The URNs of all files, in their order."""
        return tuple(file.urn for file in self.media)


def choose_next_step(draft: Draft, state: Checkpoint) -> tuple[Step, int]:
    """Return the next step of ``prepare`` and the index of its file: all are sent before any is awaited."""
    for index in range(len(draft.media)):
        file = state.get_file(index)
        if not file.urn:
            return Step.START, index
        if not file.sent:
            return Step.SEND, index
        if file.cover_url:
            return Step.COVER, index
        if draft.kind == "video" and not file.closed:
            return Step.CLOSE, index
    awaited = next((index for index, file in enumerate(state.media) if not file.available), None)
    if awaited is None or state.unreadable:
        return Step.DONE, 0
    return Step.POLL, awaited


def get_first_pause(draft: Draft) -> timedelta:
    """Return the pause before the first read of a file's status."""
    firsts = {"video": limits.FIRST_POLL_VIDEO, "document": limits.FIRST_POLL_DOCUMENT}
    return firsts.get(draft.kind, limits.FIRST_POLL_IMAGE)
