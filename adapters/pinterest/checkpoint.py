"""The checkpoint of an unfinished publish to Pinterest, and which step comes next. Pure."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from adapters.base import PolledCheckpoint


class Step(StrEnum):
    """One request of ``prepare``; DONE makes none."""

    SECTION = "read the section of the board"
    REGISTER = "register the video"
    UPLOAD = "send the video's bytes"
    POLL = "read the video's status"
    DONE = "nothing is left to prepare"


class Checkpoint(PolledCheckpoint):
    """The facts of an unfinished publish; an empty checkpoint is the beginning."""

    board_id: str | None = None
    """The pin's board, stored so that ``look`` reads that board and not a default chosen since."""
    section_read: bool = False
    media_id: str | None = None
    upload_url: str | None = Field(default=None, repr=False)
    upload_parameters: dict[str, str] = Field(default_factory=dict, repr=False)
    sent: bool = False
    processed: bool = False


def choose_next_step(state: Checkpoint, *, is_video: bool, has_section: bool = False) -> Step:
    """Return the next step of ``prepare``; an image without a section needs none, as Pinterest fetches it."""
    if has_section and not state.section_read:
        return Step.SECTION
    if not is_video or state.processed:
        return Step.DONE
    if state.media_id is None:
        return Step.REGISTER
    return Step.POLL if state.sent else Step.UPLOAD
