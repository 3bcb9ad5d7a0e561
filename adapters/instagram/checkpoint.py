"""The checkpoint of an unfinished publish to Instagram, and which step comes next. Pure."""

from __future__ import annotations

from enum import StrEnum

from adapters.base import PolledCheckpoint
from adapters.contract import Draft


class Step(StrEnum):
    """One request of ``prepare``."""

    QUOTA = "read the quota"
    CHILD = "create the next carousel child"
    CONTAINER = "create the container to publish"
    UPLOAD = "send the video's bytes"
    POLL = "read a container's status"


class Checkpoint(PolledCheckpoint):
    """The facts of an unfinished publish; an empty checkpoint is the beginning."""

    quota_read: bool = False
    children: tuple[str, ...] = ()
    ready: int = 0
    """The number of children known to be FINISHED; they are polled in order."""
    container: str | None = None
    upload_uri: str | None = None
    """The upload address, until the bytes are sent."""
    media_id: str | None = None
    """Set only by the response of ``media_publish``: the post is live under this id."""
    listings: int = 0
    """Searches of the account's list for the post of a PUBLISHED container."""


def is_carousel(draft: Draft) -> bool:
    """Return True for two or more media; a slideshow of one image is an image post."""
    return len(draft.media) > 1


def choose_next_step(draft: Draft, state: Checkpoint) -> Step:
    """Return the next step of ``prepare``."""
    if state.container is not None:
        return Step.UPLOAD if state.upload_uri else Step.POLL
    if not state.quota_read:
        return Step.QUOTA
    if is_carousel(draft):
        if len(state.children) < len(draft.media):
            return Step.CHILD
        if state.ready < len(state.children):
            return Step.POLL
    return Step.CONTAINER


def get_awaited_container(state: Checkpoint) -> str:
    """Return the container whose status is read next. Valid only when the next step is POLL."""
    return state.container or state.children[state.ready]
