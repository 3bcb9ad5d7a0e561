"""How far a publish has come: the checkpoint's fields, what a draft becomes, and what comes next."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

from adapters.checkpoint import Steps, doubled
from adapters.contract import Draft, MediaFacts
from adapters.facebook import limits


class Shape(StrEnum):
    """What a draft becomes on a Page."""

    FEED = "feed"
    REEL = "reel"
    VIDEO = "video"


class Step(StrEnum):
    """One request of ``prepare``; DONE is none."""

    PHOTO = "create the next unpublished photo"
    POST = "create the unpublished post"
    READ_POST = "read the unpublished post"
    START = "start the video upload"
    CHECK = "read the video's status"
    SEND = "send the reel's bytes or its URL"
    TRANSFER = "send the chunk that is wanted"
    DONE = "nothing is left to prepare"


class Progress(Steps):
    """What is known of an unfinished publish; an empty checkpoint is the beginning."""

    photos: tuple[str, ...] = ()
    post: str | None = None
    """The unpublished post of the two-phase form."""
    video_id: str | None = None
    upload_url: str | None = None
    session: str | None = None
    start: int = 0
    end: int = 0
    offset: int | None = None
    """Where a reel's bytes go on; None = to be read from its status."""
    sent: bool = False
    live: str | None = None
    """Set by a clear yes to the visible call: the post is live under it."""
    accepted: bool = False
    """Set by a clear yes to a video's finish: it goes live when Facebook is done."""
    again: bool = False
    """Set when a look found nothing after arming: a "duplicate" then is a sign of life, not a refusal."""
    polls: int = 0
    cuts: int = 0
    restarts: int = 0

    @property
    def backoff(self) -> timedelta:
        """The pause before the next read: doubled each time, up to a minute."""
        first = limits.FIRST_POST_READ if self.post else limits.FIRST_POLL
        return doubled(first, self.polls, limits.LONGEST_POLL)


def shape_of(draft: Draft) -> Shape:
    """Photos make a feed post; a video that is known to fit a reel becomes one; any other a video."""
    media = draft.media[0]
    if media.kind == "image":
        return Shape.FEED
    return Shape.REEL if media.facts is not None and _fits_a_reel(media.facts) else Shape.VIDEO


def _fits_a_reel(facts: MediaFacts) -> bool:
    if facts.width is None or facts.height is None or facts.duration is None:
        return False
    least_width, least_height = limits.REEL_PIXELS
    return (
        abs(facts.width / facts.height - limits.REEL_RATIO) <= limits.REEL_RATIO_SLACK
        and facts.width >= least_width
        and facts.height >= least_height
        and limits.REEL_SECONDS[0] <= facts.duration <= limits.REEL_SECONDS[1]
        and facts.content_type in limits.REEL_TYPES
        and (facts.codec is None or facts.codec in limits.REEL_CODECS)
        and (facts.fps is None or limits.REEL_FPS[0] <= facts.fps <= limits.REEL_FPS[1])
    )


def next_step(draft: Draft, at: Progress, *, two_phase: bool) -> Step:
    """What ``prepare`` does next."""
    shape = shape_of(draft)
    if shape is Shape.FEED:
        return _next_of_feed(draft, at, two_phase=two_phase)
    if at.video_id is None:
        return Step.START
    if shape is Shape.VIDEO:
        return Step.TRANSFER if at.start < at.end else Step.DONE
    return Step.CHECK if at.sent or at.offset is None else Step.SEND


def _next_of_feed(draft: Draft, at: Progress, *, two_phase: bool) -> Step:
    if at.post is not None:
        return Step.READ_POST
    if len(at.photos) < len(draft.media):
        return Step.PHOTO
    return Step.POST if two_phase else Step.DONE
