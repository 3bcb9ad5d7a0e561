"""The post itself: the body that makes it, what the answer to it means, and which listed post is ours. Pure."""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from adapters.contract import CannotTell, Checkpoint, Draft, Ended, Pending, Published, Seen
from adapters.error_table import Step
from adapters.errors import OutcomeUnknown, Rejected
from adapters.http import Answer
from adapters.linkedin.errors import DUPLICATE, duplicate_of, of_answer, unclear
from adapters.linkedin.text import little_text
from adapters.linkedin.wire import Post

_URN = re.compile(r"urn:li:(?:share|ugcPost):[A-Za-z0-9_-]+")


def body(draft: Draft, author: str, urns: Sequence[str]) -> dict[str, Any]:
    """What ``POST /rest/posts`` takes. Source: posts-api and multiimage-post-api, read 2026-11-24."""
    several = len(urns) > 1
    content: dict[str, Any] = (
        {"multiImage": {"images": [{"id": urn} for urn in urns]}} if several else {"media": {"id": urns[0]}}
    )
    return {
        "author": author,
        "commentary": little_text(draft.caption),
        "visibility": "PUBLIC",
        "distribution": {
            "feedDistribution": "MAIN_FEED",
            "targetEntities": [],
            "thirdPartyDistributionChannels": [],
        },
        "content": content,
        "lifecycleState": "PUBLISHED",
        "isReshareDisabledByAuthor": False,
    }


def published(answer: Answer, www: str) -> Published:
    """What LinkedIn's answer to the post means.

    A duplicate that it names is live: only a person's "publish again" ever sends the same text and media twice.
    Raises OutcomeUnknown for a success without the post's name: such posts were seen not to appear.
    """
    named = duplicate_of(answer)
    if named:
        return Published(remote_id=named, url=url_of(named, www), notes={"duplicate": True})
    if named is not None:
        raise OutcomeUnknown(
            "LinkedIn calls this a duplicate of a post that it does not name.",
            platform_code=DUPLICATE,
            http_status=answer.status,
        )
    if answer.status not in (HTTPStatus.OK, HTTPStatus.CREATED):
        raise of_answer(answer, Step.FINALIZE)
    urn = unquote(answer.headers.get("x-restli-id", "")).strip()
    if not _URN.fullmatch(urn):
        raise unclear(Step.FINALIZE, platform_code="no_restli_id", status=answer.status)
    return Published(remote_id=urn, url=url_of(urn, www))


def url_of(urn: str, www: str) -> str:
    """Where people see a post."""
    return f"{www}/feed/update/{urn}/"


def found(
    draft: Draft,
    urns: Sequence[str],
    posts: Sequence[Post],
    taken: Container[str],
    checkpoint: Checkpoint,
    www: str,
) -> Seen:
    """The only listed post with exactly our media, and where it stands. Not listed is never taken for absent.

    The media's names are ours alone, so they prove it; the text only tells two posts of the same media apart.
    """
    ours = [one for one in posts if one.id not in taken and _urns(one) == frozenset(urns)]
    if len(ours) > 1:
        ours = [one for one in ours if one.commentary.split() == little_text(draft.caption).split()]
    if len(ours) != 1:
        return CannotTell(reason=f"LinkedIn lists {len(ours)} posts that could be this one")
    return _standing(ours[0], checkpoint, www)


def _urns(one: Post) -> frozenset[str]:
    return one.content.urns if one.content else frozenset()


def _standing(one: Post, checkpoint: Checkpoint, www: str) -> Seen:
    match one.lifecycleState:
        case "PUBLISHED":
            return Published(remote_id=one.id, url=url_of(one.id, www))
        case "PUBLISH_REQUESTED":
            return Pending(checkpoint=checkpoint)
        case "PUBLISH_FAILED":
            error = Rejected(
                "LinkedIn took the post and then failed to publish it.",
                code="publish_failed",
                platform_code="PUBLISH_FAILED",
            )
            return Ended(error=error)
        case state:
            return CannotTell(reason=f"LinkedIn shows the post as {state[:40]}")
