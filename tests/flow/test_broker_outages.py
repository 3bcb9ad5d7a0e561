"""A broker that hangs, is dead or is full: the API takes posts meanwhile, and each is live once when it is back."""

from __future__ import annotations

from functools import partial
from uuid import uuid4

import pytest

from tests.broker_outages import OUTAGES, Outage
from tests.conftest import Engines
from tests.flow.ledger import caption
from tests.stack import Stack, until

FAILED = "dispatch failed"
"""What the API's log says when the broker did not take a message."""
POSTS = 10


def is_posted(stack: Stack, post: str) -> bool:
    """Return True if the post is posted. Start workers that have ended again, as every supervisor does.

    Celery's consumer may end its process when the broker dies (5.7.0: AttributeError, `hostname` of a lost connection).
    """
    for group in ("publish", "reachability", "upkeep"):
        if stack.parts[group].poll() is not None:
            stack.start_worker(group)
    return bool(stack.read(post)["status"] == "posted")


@pytest.mark.parametrize("outage", OUTAGES)
def test_posts_that_were_taken_meanwhile_are_live_once(
    stack: Stack, engines: Engines, outage: Outage
) -> None:
    """Half of them have media that are known, and the others need a check; some are on their way when it begins."""
    text, log = caption(), stack.folder / "api.log"
    posts: list[str] = []

    def create() -> None:
        url = stack.media("sample.mp4") + (f"?{uuid4().hex}" if len(posts) % 2 else "")
        media = {"type": "video", "url": url}
        posts.append(stack.create_post(f"{text} {len(posts)}.", "linkedin", media=media))

    for _ in range(POSTS):
        create()
    seen = log.read_text().count(FAILED)
    with outage(engines.valkey):
        for _ in range(POSTS):
            create()
        until(lambda: log.read_text().count(FAILED) > seen, 30)
        for _ in range(POSTS):
            create()
    for post in posts:
        until(partial(is_posted, stack, post), 80, lambda: f"{stack.read(post)} is not posted")  # noqa: B023
    assert sorted(line["caption"] for line in stack.live(text)) == sorted(
        f"{text} {n}." for n in range(len(posts))
    )
