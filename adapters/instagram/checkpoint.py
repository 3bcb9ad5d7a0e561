"""How far a publish has come: the checkpoint's fields, and the one decision what comes next."""

from __future__ import annotations

from enum import StrEnum

from adapters.checkpoint import Steps
from adapters.contract import Draft


class Step(StrEnum):
    """One request of ``prepare``."""

    QUOTA = "read the quota"
    CHILD = "create the next carousel child"
    CONTAINER = "create the container that will be published"
    UPLOAD = "send the video's bytes"
    POLL = "read a container's status"


class Progress(Steps):
    """What is known of an unfinished publish; an empty checkpoint is the beginning."""

    quota_read: bool = False
    children: tuple[str, ...] = ()
    ready: int = 0
    """Children known to be FINISHED; they are polled in order."""
    container: str | None = None
    upload_uri: str | None = None
    """Where the bytes still have to go."""
    media_id: str | None = None
    """Set by ``media_publish``'s answer alone: the post is live under it."""
    polls: int = 0
    """Reads of the handle now waited for."""
    listings: int = 0
    """Times that a PUBLISHED container's post was looked for in the account's list."""
    restarts: int = 0
    """Times that containers were given up and made anew."""


def is_carousel(draft: Draft) -> bool:
    """Two media or more; a slideshow of one image is an image post."""
    return len(draft.media) > 1


def next_step(draft: Draft, at: Progress) -> Step:
    """What ``prepare`` does next."""
    if at.container is not None:
        return Step.UPLOAD if at.upload_uri else Step.POLL
    if not at.quota_read:
        return Step.QUOTA
    if is_carousel(draft):
        if len(at.children) < len(draft.media):
            return Step.CHILD
        if at.ready < len(at.children):
            return Step.POLL
    return Step.CONTAINER


def waited_for(at: Progress) -> str:
    """The container whose status is read next; only asked when ``next_step`` says POLL."""
    return at.container or at.children[at.ready]
