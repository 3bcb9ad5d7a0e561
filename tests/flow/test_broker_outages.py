"""A broker that hangs, is dead or is full: the API takes posts meanwhile, and each is live once when it is back."""

from __future__ import annotations

import signal
from uuid import uuid4

import pytest

from pipeline.broker.queues import WORKER_GROUPS
from tests.broker_outages import OUTAGES, Outage, count_messages, dead, full
from tests.conftest import Engines
from tests.flow.ledger import caption
from tests.stack import Stack, until

FAILED = "dispatch failed"
"""What the API's log says when the broker did not take a message."""
REFUSED = "used memory > 'maxmemory'"
"""What a worker's log says when the broker refused a command of it."""
POSTS = 4


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
        stack.await_status(post, "posted", 80)
    assert list_ended_workers(stack) == []
    assert sorted(line["caption"] for line in stack.live(text)) == sorted(
        f"{text} {n}." for n in range(len(posts))
    )


def test_a_worker_that_waits_for_messages_beside_its_work_outlives_its_broker(
    stack: Stack, engines: Engines
) -> None:
    """It has free slots, so the connection that is lost is one it blocks on, and holds messages not acknowledged."""
    text = caption()
    stack.fault("linkedin", "finalize", "latency", times=None, delay_ms=1500)
    posts = [stack.create_post(f"{text} {n}.", "linkedin") for n in range(3)]
    for post in posts:
        stack.await_state(post, "publishing", "linkedin")
    with dead(engines.valkey):
        pass
    for post in posts:
        stack.await_status(post, "posted", 80)
    assert list_ended_workers(stack) == []
    assert len(stack.live(text)) == len(posts)


def test_a_worker_outlives_a_broker_that_is_full_when_it_takes_a_message(
    stack: Stack, engines: Engines
) -> None:
    """A worker that takes a message notes so in the broker, which refuses it; the message is gone, the post is not."""
    text, log = caption(), stack.folder / "publish.log"
    refusals = log.read_text().count(REFUSED)
    stack.parts["publish"].send_signal(signal.SIGSTOP)
    posts = [stack.create_post(f"{text} {n}.", "linkedin") for n in range(5)]
    queues = WORKER_GROUPS["publish"]
    until(lambda: any(count_messages(engines.valkey, queue) for queue in queues), 30)
    with full(engines.valkey):
        stack.parts["publish"].send_signal(signal.SIGCONT)
        until(lambda: log.read_text().count(REFUSED) > refusals, 60)
    for post in posts:
        stack.await_status(post, "posted", 80)
    assert list_ended_workers(stack) == []
    assert len(stack.live(text)) == len(posts)


def list_ended_workers(stack: Stack) -> list[str]:
    """Return the groups whose worker has ended."""
    return [group for group in WORKER_GROUPS if stack.parts[group].poll() is not None]
