"""Kill workers at every step of a publish, and flush the broker."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import redis

from tests.conftest import Engines
from tests.crash_table import Crashes, get_points
from tests.flow.ledger import caption, states_of
from tests.stack import Stack, until


@pytest.mark.parametrize("point", get_points("before_arm_leaves_nothing_sent_and_nothing_lost"))
def test_a_worker_killed_before_arm_leaves_nothing_sent_and_nothing_lost(
    stack: Stack, point: str, crashes: Crashes
) -> None:
    if point == "publish.beat":  # the lease is renewed during an upload, so the media is slow here
        stack.fault("media", "media", "latency", times=None, delay_ms=1500)  # a check may take one of them
    _crash_publish(stack, crashes, "tiktok")


@pytest.mark.parametrize("point", get_points("after_arm_leaves_a_look_never_a_second_post"))
def test_a_worker_killed_after_arm_leaves_a_look_never_a_second_post(
    stack: Stack, point: str, crashes: Crashes
) -> None:
    """One platform only; ``make proof`` covers each."""
    if point == "publish.raised":
        stack.fault("tiktok", "finalize", "effect-then-drop")
    post = _crash_publish(stack, crashes, "instagram" if point == "publish.handle-stored" else "tiktok")
    assert "unknown" in states_of(stack, post)


def test_a_flushed_broker_loses_nothing(stack: Stack, engines: Engines) -> None:
    texts = [caption() for _ in range(5)]
    due = (datetime.now(UTC) + timedelta(seconds=36)).isoformat()
    posts = [stack.create_post(text, "instagram", scheduled_at=due) for text in texts]
    client = redis.Redis(
        unix_socket_path=engines.valkey.url.removeprefix("redis+socket://").partition("?")[0]
    )
    client.flushall()
    for post in posts:
        stack.await_status(post, "posted", 80)
    client.flushall()
    for text in texts:
        assert len(stack.live(text)) == 1


def _crash_publish(stack: Stack, crashes: Crashes, platform: str) -> str:
    """Publish with a worker that crashes once at the test's failpoint; another worker continues."""
    text = caption()
    stack.kill("publish")
    stack.start_worker("publish", None, 8, **crashes.arm())
    media = {"type": "video", "url": stack.media("sample.mp4")}
    post = stack.create_post(text, platform, media=media)
    until(lambda: stack.parts["publish"].poll() is not None or None, 30)
    stack.start_worker("publish")
    stack.await_status(post, "posted", 90)
    assert len(stack.live(text)) == 1
    return post
