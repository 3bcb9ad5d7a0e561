"""The checkpoint of an unfinished publish to a Page, and which step comes next. Pure."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

from adapters.base import PolledCheckpoint
from adapters.contract import Draft, MediaFacts
from adapters.facebook import limits
from adapters.graph_stories import is_story


class PostKind(StrEnum):
    """The kind of post that a draft becomes on a Page."""

    FEED = "feed"
    REEL = "reel"
    VIDEO = "video"
    STORY = "story"


class Step(StrEnum):
    """One request of ``prepare``; DONE makes none."""

    PHOTO = "create the next unpublished photo"
    POST = "create the unpublished post"
    READ_POST = "read the unpublished post"
    START = "start the video upload"
    CHECK = "read the video's status"
    SEND = "send the reel's bytes or its URL"
    TRANSFER = "send the expected chunk"
    DONE = "nothing is left to prepare"


class Checkpoint(PolledCheckpoint):
    """The facts of an unfinished publish; an empty checkpoint is the beginning."""

    photos: tuple[str, ...] = ()
    post: str | None = None
    """The unpublished post of the two-phase form."""
    video_id: str | None = None
    upload_url: str | None = None
    session: str | None = None
    start: int = 0
    end: int = 0
    offset: int | None = None
    """Where a reel's bytes continue; None = to be read from its status."""
    sent: bool = False
    live: str | None = None
    """Set by a confirmed visible call: the id under which the post is live."""
    accepted: bool = False
    """Set by a confirmed finish of a video, or of a story: it goes live when Facebook has processed it."""
    again: bool = False
    """Set when a look after arming found nothing: a "duplicate" then means that the post may be live."""
    cuts: int = 0

    @property
    def first_pause(self) -> timedelta:
        """The pause before the second read."""
        return limits.FIRST_POST_READ if self.post else limits.FIRST_POLL


def get_post_kind(draft: Draft) -> PostKind:
    """Return STORY if it is asked for, FEED for photos and texts, REEL for a video that fits a reel, else VIDEO."""
    if is_story(draft):
        return PostKind.STORY
    if draft.kind != "video":
        return PostKind.FEED
    media = draft.media[0]
    return PostKind.REEL if media.facts is not None and _is_reel(media.facts) else PostKind.VIDEO


def _is_reel(facts: MediaFacts) -> bool:
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


def choose_next_step(draft: Draft, state: Checkpoint, *, two_phase: bool) -> Step:
    """Return the next step of ``prepare``."""
    kind = get_post_kind(draft)
    if kind is PostKind.FEED:
        return _choose_feed_step(draft, state, two_phase=two_phase)
    if kind is PostKind.STORY and draft.media[0].kind == "image":
        return Step.DONE if state.photos else Step.PHOTO
    if state.video_id is None:
        return Step.START
    if kind is PostKind.VIDEO:
        return Step.TRANSFER if state.start < state.end else Step.DONE
    return Step.CHECK if state.sent or state.offset is None else Step.SEND


def _choose_feed_step(draft: Draft, state: Checkpoint, *, two_phase: bool) -> Step:
    if state.post is not None:
        return Step.READ_POST
    if len(state.photos) < len(draft.media):
        return Step.PHOTO
    return Step.POST if two_phase else Step.DONE
