"""How far a publish has come: the checkpoint's fields, the one decision what comes next, what a status means. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import Field

from adapters.checkpoint import Steps, doubled
from adapters.contract import Draft, Ended, Pending, Ready
from adapters.errors import AdapterError, Permanent, Rejected, Unavailable
from adapters.linkedin import limits
from adapters.linkedin.errors import GONE, STALE_UPLOAD
from adapters.linkedin.wire import MediaStatus, Part


class Next(StrEnum):
    """What ``prepare`` does next: one request, or nothing more."""

    START = "ask for an upload address"
    SEND = "send bytes: an image, or one part of a video"
    CLOSE = "tell that a video's parts are all there"
    POLL = "read how far it is processed"
    NOTHING = "all is there"


class File(Steps):
    """One file of the post at LinkedIn; without a URN it is not begun."""

    urn: str = ""
    """The image's or video's name there: ours alone, so it proves which post is ours."""
    url: str = Field(default="", repr=False)
    parts: tuple[Part, ...] = ()
    """The parts of a video that are still to be sent."""
    part_ids: tuple[str, ...] = ()
    """The ETags of those that were, in order."""
    token: str = Field(default="", repr=False)
    ends: int | None = None
    """When the upload address dies, in milliseconds since the epoch."""
    sent: bool = False
    closed: bool = False
    doubtful: bool = False
    """Closing was refused: perhaps it was closed before, by a call whose answer was lost."""
    available: bool = False

    def is_stale(self, now: datetime) -> bool:
        """Whether the upload address is dead, or about to be."""
        return self.ends is not None and (now + limits.URL_MARGIN).timestamp() * 1000 >= self.ends


class Progress(Steps):
    """What is known of an unfinished publish; an empty checkpoint is the beginning."""

    media: tuple[File, ...] = ()
    unreadable: bool = False
    """The token may not read how far media are processed: the post is made at once."""
    polls: int = 0
    restarts: int = 0

    def file(self, index: int) -> File:
        """What is known of one file."""
        return self.media[index] if index < len(self.media) else File()

    def put(self, index: int, file: File) -> Progress:
        """The same with one file changed."""
        media = [*self.media, *(File() for _ in range(index + 1 - len(self.media)))]
        media[index] = file
        return self.then(media=tuple(media))

    @property
    def urns(self) -> tuple[str, ...]:
        """The names of all files, in their order."""
        return tuple(file.urn for file in self.media)


def next_step(draft: Draft, at: Progress) -> tuple[Next, int]:
    """What comes next and for which file: every file is sent, then all are waited for."""
    for index in range(len(draft.media)):
        file = at.file(index)
        if not file.urn:
            return Next.START, index
        if not file.sent:
            return Next.SEND, index
        if draft.kind == "video" and not file.closed:
            return Next.CLOSE, index
    waiting = next((index for index, file in enumerate(at.media) if not file.available), None)
    if waiting is None or at.unreadable:
        return Next.NOTHING, 0
    return Next.POLL, waiting


def pause(draft: Draft, polls: int) -> timedelta:
    """The pause before the next read: doubled each time, up to a minute."""
    first = limits.FIRST_POLL_VIDEO if draft.kind == "video" else limits.FIRST_POLL_IMAGE
    return doubled(first, polls, limits.LONGEST_POLL)


def judged(draft: Draft, at: Progress, index: int, media: MediaStatus | None) -> Ready | Pending | Ended:
    """What a file's status says; None: LinkedIn does not find it."""
    again = Pending(checkpoint=at.then(polls=at.polls + 1).checkpoint(), wait=pause(draft, at.polls))
    if media is None:
        return again if at.polls < limits.GONE_READS else Ended(error=_lost())
    match media.status:
        case "AVAILABLE":
            return _on(draft, at.put(index, at.file(index).then(available=True)).then(polls=0))
        case "PROCESSING_FAILED":
            return Ended(error=_failed(media.processingFailureReason))
        case "WAITING_UPLOAD" if at.file(index).doubtful:
            return Ended(error=_lost())
        case _:
            return again


def unread(draft: Draft, at: Progress, index: int) -> Ready | Pending | Ended:
    """The token may not read statuses: the post is made at once, unless it is not even known to be uploaded."""
    if at.file(index).doubtful:
        return Ended(error=_lost())
    return _on(draft, at.then(unreadable=True, polls=0))


def renewed(at: Progress, index: int, error: AdapterError) -> Pending:
    """One file begun anew after a passing end, a bounded number of times; an end for good is raised."""
    if isinstance(error, Permanent) or at.restarts >= limits.RESTARTS:
        raise error
    wait = timedelta(0) if error.code == STALE_UPLOAD else limits.RESTART_PAUSE * 2**at.restarts
    fresh = at.put(index, File()).then(restarts=at.restarts + 1, polls=0)
    return Pending(checkpoint=fresh.checkpoint(), wait=wait)


def _on(draft: Draft, at: Progress) -> Ready | Pending:
    done = next_step(draft, at)[0] is Next.NOTHING
    return Ready(checkpoint=at.checkpoint()) if done else Pending(checkpoint=at.checkpoint())


def _lost() -> Unavailable:
    return Unavailable("LinkedIn does not have the uploaded media.", code=GONE)


def _failed(reason: str) -> Rejected:
    because = f" ({reason[:200]})" if reason else ""
    return Rejected(
        f"LinkedIn could not process the media{because}.",
        code="media_failed",
        platform_code="PROCESSING_FAILED",
        next_action="Send the file in another encoding.",
    )
