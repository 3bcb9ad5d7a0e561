"""Kill workers at every step of a publish, and flush the broker."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from tests.conftest import Engines
from tests.crash_table import Crashes
from tests.flow.ledger import caption, states_of
from tests.stack import Stack, until


def test_a_worker_killed_before_arm_leaves_nothing_sent_and_nothing_lost(
    stack: Stack, crashes: Crashes
) -> None:
    """One platform only, here and below; ``make proof`` covers each."""
    # the lease is renewed during an upload, so the media is slow; a check may take one of the delays
    stack.fault("media", "media", "latency", times=None, delay_ms=1500)
    for points in (("publish.claimed", "publish.prepared"), ("publish.checkpointed", "publish.beat")):
        post = publish(stack, "tiktok", start_crashing(stack, crashes.arm(*points)))
        assert "unknown" not in states_of(stack, post)
        assert all(map(crashes.has_reached, points))


def test_a_worker_killed_after_arm_leaves_a_look_never_a_second_post(stack: Stack, crashes: Crashes) -> None:
    environment = start_crashing(stack, crashes.arm())
    for platform, *points in (
        ("tiktok", "publish.armed", "publish.answered"),
        ("tiktok", "publish.settling"),
        ("instagram", "publish.handle-stored"),
        ("tiktok", "publish.raised"),
    ):
        if points == ["publish.raised"]:
            stack.fault("tiktok", "finalize", "effect-then-drop")
        post = publish(stack, platform, environment)
        assert "unknown" in states_of(stack, post)
        assert all(map(crashes.has_reached, points))


def test_a_flushed_broker_loses_nothing(stack: Stack, engines: Engines) -> None:
    texts = [caption() for _ in range(5)]
    due = (datetime.now(UTC) + timedelta(seconds=36)).isoformat()
    posts = [stack.create_post(text, "instagram", scheduled_at=due) for text in texts]
    with engines.valkey.client() as client:
        client.flushall()
        for post in posts:
            stack.await_status(post, "posted", 80)
        client.flushall()
    for text in texts:
        assert len(stack.live(text)) == 1


def start_crashing(stack: Stack, environment: Mapping[str, str]) -> Mapping[str, str]:
    """Replace the worker by one of this environment, with failpoints; return it."""
    stack.kill("publish")
    stack.start_worker("publish", None, 8, **environment)
    return environment


def publish(stack: Stack, platform: str, environment: Mapping[str, str]) -> str:
    """Publish a video, live once, with workers of this environment, the next when one has crashed."""
    text = caption()
    post = stack.create_post(text, platform)

    def is_posted() -> bool:
        if stack.parts["publish"].poll() is not None:
            stack.start_worker("publish", None, 8, **environment)
        return bool(stack.read(post)["status"] == "posted")

    until(is_posted, 120, lambda: str(stack.read(post)))
    assert len(stack.live(text)) == 1
    return post
