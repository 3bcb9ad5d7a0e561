"""How far a publish has come: the checkpoint's fields, and the one decision what comes next."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

from pydantic import Field

from adapters.checkpoint import Steps, doubled
from adapters.contract import Ended, Pending, Prepared, Ready
from adapters.errors import AdapterError, Permanent, Rejected, Unavailable
from adapters.pinterest import limits
from adapters.pinterest.errors import GONE
from adapters.pinterest.wire import MediaStatus


class Next(StrEnum):
    """What ``prepare`` does next: one request, or nothing more."""

    REGISTER = "register a video"
    UPLOAD = "send its bytes"
    POLL = "read how far it is processed"
    NOTHING = "all is there"


class Progress(Steps):
    """What is known of an unfinished publish; an empty checkpoint is the beginning."""

    board_id: str | None = None
    """Where the pin goes: kept, so that ``look`` asks the board it went to and not a default chosen since."""
    media_id: str | None = None
    upload_url: str | None = Field(default=None, repr=False)
    upload_parameters: dict[str, str] = Field(default_factory=dict, repr=False)
    sent: bool = False
    processed: bool = False
    polls: int = 0
    restarts: int = 0

    @property
    def backoff(self) -> timedelta:
        """The pause before the next read: doubled each time, up to a minute."""
        return doubled(limits.FIRST_POLL, self.polls, limits.LONGEST_POLL)


def next_step(at: Progress, *, video: bool) -> Next:
    """Images are fetched by Pinterest when the pin is made: only a video needs anything before."""
    if not video or at.processed:
        return Next.NOTHING
    if at.media_id is None:
        return Next.REGISTER
    return Next.POLL if at.sent else Next.UPLOAD


def judged(at: Progress, media: MediaStatus | None) -> Ready | Pending | Ended:
    """What the video's status says; None: Pinterest does not find it."""
    again = Pending(checkpoint=at.then(polls=at.polls + 1).checkpoint(), wait=at.backoff)
    if media is None:
        lost = Unavailable("Pinterest does not find the uploaded video.", code=GONE)
        return again if at.polls < limits.GONE_READS else Ended(error=lost)
    match media.status:
        case "succeeded":
            return Ready(checkpoint=at.then(processed=True, polls=0).checkpoint())
        case "failed":
            return Ended(
                error=Rejected(
                    "Pinterest could not process the video.",
                    code="media_failed",
                    platform_code="failed",
                    next_action="Send the video in another encoding: MP4, H.264 and AAC.",
                )
            )
        case _:
            return again


def renewed(at: Progress, error: AdapterError) -> Pending:
    """A passing end: begun anew with a new registration, a bounded number of times; an end for good is raised."""
    if isinstance(error, Permanent) or at.restarts >= limits.RESTARTS:
        raise error
    fresh = Progress(board_id=at.board_id, restarts=at.restarts + 1)
    return Pending(checkpoint=fresh.checkpoint(), wait=limits.RESTART_PAUSE * 2**at.restarts)


def prepared(at: Progress, said: Ready | Pending | Ended) -> Prepared:
    """``prepare``'s answer: an end for good is raised, a passing one starts anew."""
    return renewed(at, said.error) if isinstance(said, Ended) else said
