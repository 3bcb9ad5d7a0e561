"""What a container's status means, before and after arming, and which post a PUBLISHED container became."""

from __future__ import annotations

import unicodedata
from collections.abc import Container
from datetime import datetime, timedelta

from adapters.checkpoint import doubled
from adapters.contract import CannotTell, Draft, Ended, Pending, Prepared, Published, Ready, Seen
from adapters.errors import AdapterError, Permanent
from adapters.instagram import limits
from adapters.instagram.checkpoint import Progress
from adapters.instagram.client import Containers
from adapters.instagram.errors import EXPIRED, expired, of_status
from adapters.instagram.wire import ContainerStatus, MediaNode


def backoff(draft: Draft, polls: int) -> timedelta:
    """The pause before read number ``polls`` + 1: doubled each time, up to a minute."""
    video = any(media.kind == "video" for media in draft.media)
    first = limits.FIRST_POLL_VIDEO if video else limits.FIRST_POLL_IMAGE
    return doubled(first, polls, limits.LONGEST_POLL)


def judged(draft: Draft, at: Progress, status: ContainerStatus | None) -> Ready | Pending | Ended:
    """Before arming: what the container we wait for says. Ended holds the error; nothing of it is visible."""
    again = Pending(checkpoint=at.then(polls=at.polls + 1).checkpoint(), wait=backoff(draft, at.polls))
    if status is None:
        return again if at.polls < limits.GONE_READS else Ended(error=expired())
    match status.status_code:
        case "FINISHED" if at.container is None:
            return Pending(checkpoint=at.then(ready=at.ready + 1, polls=0).checkpoint())
        case "FINISHED":
            return Ready(checkpoint=at.then(polls=0).checkpoint())
        case "EXPIRED":
            return Ended(error=expired())
        case "ERROR":
            return Ended(error=of_status(status.status))
        case (
            _
        ):  # IN_PROGRESS; or PUBLISHED unforeseen, which the next look settles: nothing is made anew here
            return again


def renewed(at: Progress, said: Ready | Pending | Ended | AdapterError) -> Prepared:
    """``prepare``'s answer: an end for good is raised, a passing one starts anew without the old containers."""
    if isinstance(said, (Ready, Pending)):
        return said
    error = said.error if isinstance(said, Ended) else said
    if isinstance(error, Permanent) or at.restarts >= limits.RESTARTS:
        raise error
    pause = timedelta(0) if error.code == EXPIRED else limits.RESTART_PAUSE * 2**at.restarts
    return Pending(checkpoint=Progress(restarts=at.restarts + 1).checkpoint(), wait=pause)


def judged_after_arm(at: Progress, status: ContainerStatus | None) -> Seen:
    """After arming: FINISHED means not published, and this same container may be published (again)."""
    if status is None:  # no container found proves nothing: it may have been published
        return CannotTell(reason="Instagram does not find the container")
    match status.status_code:
        case "FINISHED":
            return Ready(checkpoint=at.then(polls=0).checkpoint())
        case "EXPIRED":
            return Ended(error=expired())
        case "ERROR":
            return Ended(error=of_status(status.status))
        case _:
            pause = doubled(limits.FIRST_POLL_VIDEO, at.polls, limits.LONGEST_POLL)
            return Pending(checkpoint=at.then(polls=at.polls + 1).checkpoint(), wait=pause)


def published_post(
    draft: Draft, at: Progress, remote: Containers, armed_at: datetime | None, taken: Container[str]
) -> Published | Pending:
    """Which post a PUBLISHED container became: the only one with this caption since arming that is not another's.

    A container does not name its post. Not found, or more than one: asked a few times more, because the list lags and
    a twin may be settled meanwhile; then settled under the container's id, because live is proven and stays so.
    """
    found = [node for node in remote.newest(**_window(armed_at)) if _ours(node, draft, armed_at, taken)]
    if len(found) == 1:
        return Published(remote_id=found[0].id, url=found[0].permalink)
    if at.listings < limits.LISTINGS or at.container is None:
        pause = min(limits.LONGEST_POLL, limits.FIRST_POLL_VIDEO * 2**at.listings)
        return Pending(checkpoint=at.then(listings=at.listings + 1).checkpoint(), wait=pause)
    return Published(remote_id=at.container, notes={"remote_id_is": "container", "candidates": len(found)})


def _window(armed_at: datetime | None) -> dict[str, str]:
    if armed_at is None:
        return {}
    since = int((armed_at - limits.CLOCK_SKEW).timestamp())
    return {"since": str(since), "until": str(since + int(limits.CONTAINER_LIFE.total_seconds()))}


def _ours(node: MediaNode, draft: Draft, armed_at: datetime | None, taken: Container[str]) -> bool:
    early = armed_at is not None and (
        node.timestamp is None or node.timestamp < armed_at.replace(microsecond=0) - limits.CLOCK_SKEW
    )
    return node.id not in taken and not early and _words(node.caption) == _words(draft.caption)


def _words(caption: str) -> list[str]:
    return unicodedata.normalize("NFC", caption).split()
