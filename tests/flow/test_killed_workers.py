"""Workers killed at every step of a publish, and a broker that forgets everything."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import redis

from tests.conftest import Engines
from tests.flow.ledger import caption, states_of
from tests.stack import Stack, until


@pytest.mark.parametrize("gap", ["publish.claimed", "publish.prepared", "publish.checkpointed"])
def test_a_worker_killed_before_arm_leaves_nothing_sent_and_nothing_lost(
    stack: Stack, gap: str, tmp_path: Path
) -> None:
    _killed_at(stack, gap, tmp_path)


@pytest.mark.parametrize(
    ("gap", "platform"),
    [
        ("publish.armed", "tiktok"),
        ("publish.answered", "tiktok"),
        ("publish.settling", "tiktok"),
        ("publish.armed", "instagram"),
        ("publish.answered", "instagram"),
        ("publish.handle-stored", "instagram"),
    ],
)
def test_a_worker_killed_after_arm_leaves_a_look_never_a_second_post(
    stack: Stack, gap: str, platform: str, tmp_path: Path
) -> None:
    post = _killed_at(stack, gap, tmp_path, platform)
    assert "unknown" in states_of(stack, post)


def test_a_flushed_broker_loses_nothing(stack: Stack, engines: Engines) -> None:
    texts = [caption() for _ in range(5)]
    due = (datetime.now(UTC) + timedelta(seconds=36)).isoformat()
    posts = [stack.accepted(text, "instagram", scheduled_at=due) for text in texts]
    client = redis.Redis(
        unix_socket_path=engines.valkey.url.removeprefix("redis+socket://").partition("?")[0]
    )
    client.flushall()
    for post in posts:
        stack.becomes(post, "posted", 80)
    client.flushall()
    for text in texts:
        assert len(stack.live(text)) == 1


def _killed_at(stack: Stack, gap: str, tmp_path: Path, platform: str = "tiktok") -> str:
    """Publishes with a worker that dies at this point once; another takes over."""
    text = caption()
    once = tmp_path / "once"
    stack.kill("publish")
    stack.start_worker("publish", FAILPOINTS=f"{gap}=kill@{once}")
    media = {"type": "video", "url": stack.media("sample.mp4")}
    post = stack.accepted(text, platform, media=media)
    until(lambda: stack.parts["publish"].poll() is not None or None, 30)
    assert once.exists()
    stack.start_worker("publish")
    stack.becomes(post, "posted", 90)
    assert len(stack.live(text)) == 1
    return post
